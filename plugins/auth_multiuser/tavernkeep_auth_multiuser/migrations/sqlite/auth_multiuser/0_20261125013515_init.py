from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE TABLE IF NOT EXISTS "logins" (
    "uid" VARCHAR(64) NOT NULL PRIMARY KEY,
    "password" VARCHAR(200),
    "totp" TEXT,
    "totp_confirmed" INT NOT NULL,
    "totp_last_step" BIGINT NOT NULL
) /* How a user logs in. The time step of the last one-time code is kept, so that none is good twice. */;
CREATE TABLE IF NOT EXISTS "login_tickets" (
    "id" VARCHAR(36) NOT NULL PRIMARY KEY,
    "digest" VARCHAR(64) NOT NULL UNIQUE,
    "purpose" VARCHAR(12) NOT NULL,
    "uid" VARCHAR(64),
    "role" VARCHAR(12) NOT NULL,
    "created_by" VARCHAR(64),
    "created_at" TIMESTAMP NOT NULL,
    "expires_at" TIMESTAMP NOT NULL
) /* A right to do one thing once: to register, or to set a new password. */;
CREATE TABLE IF NOT EXISTS "aerich" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "version" VARCHAR(255) NOT NULL,
    "app" VARCHAR(100) NOT NULL,
    "content" JSON NOT NULL
);"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        """


MODELS_STATE = (
    "eJztmG1P2zAQx7+K1VedBKikUBjvWuigUmknyDbENFluck2tJnZmOyoI8d1nu02T9Gktgw"
    "4Q7+L/3dnO767xuQ8lkqgBjpJQ0USC2GvzgLLSCXooMRKBfljssKP1OJ43G4MivdBGhsZV"
    "Wt+eVIJ4Sqt9EkrQkg/SEzRWlJvlShd8hAgyUyAdJhFle8gdAFI0AiQVxIj3kdJCSKRCnM"
    "GutXjcB0QlGkKsdpDk2oUoxLTdqAHnPlIj6sGe2YXPPb0NyoJtLZgw+jsBrHgAeiahl/35"
    "S8uU+XAHMh3GQ9ynEPoF6gn1zQzWgNV9bMXTARFfrKt5mx72eJhELOce36sBZ1N//bZGDY"
    "CBIAr8HH6WhOEkT6k03q0WlEhguk0/E3zoE51oLZjo8RYyrYRxp+vi66aLcWkuwWlELgUT"
    "yePMFAdlSloCEbnDIbBADfSwdvA4XicDMfYyC36vX51e1K/KtYNPZkGuK2xceJ2JxbGmRz"
    "sFUWQ8ieWegY6JlCMuNqKdj3kS8gnQKfHUJUOe/Uy2ztypVNaArr2WUrc2gz3DrLiK5xG7"
    "cKcWI0793wPeFTTd5o1rZo6k/B3mIZYv6zeWb3Q/sbS7nfPUPQf9tN1tLGCtUbI+FREsKO"
    "wG5yEQthx8MXgmBT0d/ZSvyjpJmCrbzUKj220XstBozWL+dtloXpX3bUq0E1VWbnXcRezN"
    "kYHNGbKAPQ1abEXNF2Nn0OtXeSnylZf6tARmB7ufHadaPXIq1drx4cHR0eFx5Vj72u3Om4"
    "5Wpap1bqAXkjPOgjlK+8PcN94IPeINR0T4eM7CHb7Md94UOdGsQhgJLEvz3mbDM32SS70h"
    "qFWd1MRj/VYKKxuxZkdVR4IGA4UURz43DYxuVXSm9JMHJ0YVEFBdaGIHcWHGEpTuiBiMUH"
    "q+zXdNzzXpP3RGmzVG77QvqtbWOKKrtaUntDGt7ot8GoBUm6DOIt4d7udqQ3NtZyJiLmGj"
    "rjMLeR7Ar6rr3HfWQLzvLEVsTEXEW7xCvbKG86WLV+j+cRO0qf/2yraUnqBvsXA9AQYH7t"
    "1vArkY9VHGfy/jlBhZcMydaYv5w2c1a7LouPMnoXvpwxv8Nq+6srYum9du/fJr4cZ0Vneb"
    "xuIU7qypWp7tRKaToB8t9wKZIbrtdpoWJ5cqEHbFzM+9LU2abI4ZH2Hi55mkcioV0gx3Md"
    "XTPSHNxciPNL+6NP/XO9/jHwtWcac="
)
