from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        DROP INDEX IF EXISTS "idx_executions_user_id_977f05";
        ALTER TABLE "executions" ADD "number" BIGINT NOT NULL DEFAULT 0;
        UPDATE "executions" SET "number" = "ordered"."number" FROM (
            SELECT "id", ROW_NUMBER() OVER (ORDER BY "submitted_at", "id") AS "number" FROM "executions"
        ) AS "ordered" WHERE "ordered"."id" = "executions"."id";
        ALTER TABLE "executions" ADD "duration_ms" BIGINT;
        UPDATE "executions" SET "duration_ms" = "completed_at" - "started_at";
        ALTER TABLE "executions" ADD "paused" INT NOT NULL DEFAULT 0;
        ALTER TABLE "executions" ADD "cut" JSON;
        ALTER TABLE "executions" ADD "attempts" INT NOT NULL DEFAULT 0;
        ALTER TABLE "executions" RENAME COLUMN "starts" TO "epoch";
        CREATE INDEX "idx_executions_user_id_3504df" ON "executions" ("user_id", "number");
        CREATE INDEX "idx_executions_number_470e66" ON "executions" ("number");"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        DROP INDEX IF EXISTS "idx_executions_number_470e66";
        DROP INDEX IF EXISTS "idx_executions_user_id_3504df";
        ALTER TABLE "executions" RENAME COLUMN "epoch" TO "starts";
        ALTER TABLE "executions" DROP COLUMN "number";
        ALTER TABLE "executions" DROP COLUMN "duration_ms";
        ALTER TABLE "executions" DROP COLUMN "paused";
        ALTER TABLE "executions" DROP COLUMN "cut";
        ALTER TABLE "executions" DROP COLUMN "attempts";
        CREATE INDEX "idx_executions_user_id_977f05" ON "executions" ("user_id", "submitted_at");"""


MODELS_STATE = (
    "eJztmm1z2jgQx7+Kxq96M7kMEApp7xWkpMc1hRlCb9rJZFxhC/DFlhxZLmFavvut/PxIMU"
    "lIYHiHV/u3xW8XeVfopzI3HMH48rT3g1DRNZl2p7xHPxWKLQIfioZPkIJtOzEoLQJPTE9A"
    "HojmCoNRlUiJ47lPHMGxJmB8ik2HgEknjsYNWzpK1TWzCPIFiE0Rpii6DxJzLNCUmSZbII"
    "K1OWJiTvh7sBODI4s4Dp4R5wRpzLI5XBH9L+QQgr7bWLsz6Oz7qZyDzjSYBFzu5nEuNe5d"
    "ogo2I1IOD725BbNBdXiSIy9vYlRSYGJHqA65V26ln32nTg1i6qlYGLp09OyqWNqerWvM+l"
    "Rcer7yW05UjZmuRWN/eynmEI1QYFAhrTNCCceCyCcI7sqQUNc0gyiGUfK/ReziTz+h0ckU"
    "u6YMrFT7E4htiqoOhmP1ujdWVSUX9FCRCExg0hiVCWPI9JEAZnIKf75rNM7O2o3aWev8bb"
    "PdfnteO5fc5Fh+qL3yJxPT8m/lMet/7A/GckIMstJPW2lYeRossK/yohTTnxo8iFClIKRk"
    "v49FSH5dMEJDHI34V3Vg4YjxR7+PSvSTqiP87eEblDhF5CnmyxLyoSSDfbIUvn3PwK9jeD"
    "XsyjtbjnNvSsO/nVG3P+iMvr353Pn6hze0DIauhoOPob/NHDHj3o2U7rdxr5OhDgQf5Fsz"
    "x/2f6+GgZMmPJRnuuqEJ9AuZ8Mo+LPoSRor+APBf/N0ZRfDjzB5cFKCXN+hm0MdVTNFL92"
    "KOeTH/rC4TBPhKewhfsfCDahI6E3O4bDXXBCNE32pmyQcjDW9otZJFzvSu8EWbKovS4C8Z"
    "J8aMfiL+otOHaWKqkQLSUd0a3mzEFnuIfhUmWGiNSy+OF1GNmMs7+KATkwg/XTvXF50PPc"
    "WDPoEqdYG5rqboyxHWYBlL5JsfshpW1oIpFMZ68FXkxAtjUNhcZIK0SXuxYWPRSZT2J2jK"
    "mYUMKPodd2IZjiPrfUZP0diAuh5hTpBlmLBEEgCug5cByYXq79q1E/RlfJHvI5787gVtw4"
    "3iOoQHceUEhqGkgavbXD+R8KOuNQE5uNxEnyv1FeVL3FMubC/bVjzDsraugQjiUKl+jTW7"
    "q15rB1W6Eptp8zz0UuKR/+6A158XeKPebDfPz1rNiHNkWYc3jxILQSxbFDQCpTSTkoPJ4C"
    "cDamNYsos2dRgzCabFSGNRtrMC1XMRjSw77qyGw6tUbd/tZ37wgy+fu73Rm7q3LoOTIUrW"
    "gcTLcdM3XUJyrONLX3hpxFWa1dD/2Kk+olOFDki4BUtyeVrHiufK6per4uqtDZK63ipNaj"
    "mU5rtg/G5qsoXqGSpgzgm3oh2gfC3ZnaZ9VqttgBu8Snl7Y5mXImf/EU1UXKvTqiPqjVB7"
    "fSpUaLqKC3YZ1/UlWeVxb33rBgWWY75VCFK6rQLw2jL+RfjL/3HlTln1CGSVxxhsGwPdBU"
    "Jy99Iq/JepPAQZ4TECW2+TcM6g2aFTVqWCT6seVce/sijsuoxfYE5hPgXpX04/qTn2UI+A"
    "b+OlyXBBvTkmDyULT0JyEHsDa5CPe1/H65Gn/t0O3bNx2N/jHIe1IQ6/A8J/QNFSmX5WeY"
    "zAthGI/sTL8S/vcNOqY4e7UYcblugV99iTsh3usof7Znu7ya65lU4rBe7HurFa6ZI7O1N+"
    "riMOzUSe3S7qrgLd5acRMXF47KbsNE3qFPh+lji5szSrpz/8svof284CBA=="
)
