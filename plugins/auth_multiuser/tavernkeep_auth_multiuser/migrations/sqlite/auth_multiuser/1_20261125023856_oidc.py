from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE TABLE IF NOT EXISTS "oidc_identities" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "issuer" VARCHAR(255) NOT NULL,
    "subject" VARCHAR(255) NOT NULL,
    "uid" VARCHAR(64) NOT NULL,
    CONSTRAINT "uid_oidc_identi_issuer_54c013" UNIQUE ("issuer", "subject")
) /* Who a user is at an identity provider. */;"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        DROP TABLE IF EXISTS "oidc_identities";"""


MODELS_STATE = (
    "eJztmVtz2jgUgP+Khqd0Js0Qc0m2b5CyDTMJ7KTettNOxyPsg9FiS64klzCd/PeVZBvbYF"
    "iTzYVm8obPRZK/c+RzJH41cCxnThgHksQC+MkV8wltvEO/GhSHoH5UGxwreRRtqrVC4klg"
    "PANtKoztREiOXamkUxwIUCIPhMtJJAnT0zUu2QJhpIdAyk0gQk+QPQMkSQhISIgQmyKpBA"
    "EWEjEKb43GZR4gItAcInmMBFMmWCKq9FrqM+YhuSAunOhVeMxVyyDUf6oJY0p+xOBI5oMa"
    "iatpv31XYkI9uAWRPUZzZ0og8ErUY+LpEYzCkcvICC9mmP9pTPXbTByXBXFIC+bRUs4YXd"
    "mrt9VSHyhwLMEr4KdxEKRxykTJapVA8hhWy/RygQdTrAKtBNo7WUIuazjOaGw7Hwe24zQ2"
    "Apx5FEKQilxGdXIQKoUhEOJbJwDqy5l67LbvknlyEImVnvBT7+bisndz1G2/0RMylWFJ4o"
    "1SjWVUd2YILHEyiOGeg46wEAvG96Jd9LkX8hToinhmkiPPt8mTM7eazRrQldVW6kanseeY"
    "JZPRJmIbbmU14sz+JeDdQdMefLH1yKEQP4IixKPr3hfDN1ymmqvx6ENmXoB+cTXuV7BWKO"
    "mU8BAqErvPWACYbgdfdl4LwUR53+erUicIK8nTRqE/Hl+VotAfrmP++7o/uDk6NSFRRkQa"
    "8XBkV7HXJcPRNaSCPfGHdEfOl33X0KtXeSzyzcf6tPh6BW//sKxW68xqtrrnnfbZWee8ea"
    "5szXI3VWe7QjX8oKGXgpNEQZfS6bzwjdeCCXbnC8w9Z0PDLLbNdlMVWuG6BFPsG5b6vfWC"
    "1/qkMfHcoQdUErnc1U+V7Gq1VUx5OCRxIVCzv/o8Y1m7o/oU1bJgitIxliji7Kd64JtdUn"
    "23il7nW4MIESerF/HkH1AL/F63Aarqf7bunMrup2K3pIXhcJufZLdYp+2z9nmr215tkpVk"
    "197Ivkbbm508HnVbndzjYXrLw+p0Op06nU6ns73T0bpyBcgyfQ/IBZdXyvUoP+f56KDoPs"
    "wJ6cCKp03cOchdZTO1qFUwzT2EI41HzXLZQ5z4M4kkQx7Tp391zlcxUb9ceKelHHyiujR+"
    "jBjXzwJUbUQUFig7HG4W04ca9H9cK+y3a17opUKrW2PLtLpbt4xW7a6zHvFB7FUCco8Xh/"
    "uh7nAKdzYxj5iAva5scpcXWAROrRqIT62tiLXq2errgd3WPHbychbslbmZ/dOlbSOroL9j"
    "4rocNA5nstwHctnrNY3/O40zYriizL1XGv1vyW7WuKrceanrSfbjN/w277rvHV4PPtq967"
    "9K143ve/ZAa6zShW8mPVrvRFaDoM9D+xLpR/R1PBoYnExIn5sZczv7ayNtsplD2cLBXpFJ"
    "Js5EpTDDbUTUcPcIc9nzNcwHF+ZnPfPd/Qtbg8Rw"
)
