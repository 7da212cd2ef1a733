from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE TABLE IF NOT EXISTS "audit" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "at" TIMESTAMP NOT NULL,
    "action" VARCHAR(60) NOT NULL,
    "uid" VARCHAR(64),
    "username" VARCHAR(100),
    "credential" VARCHAR(64) NOT NULL,
    "target" VARCHAR(200) NOT NULL,
    "address" VARCHAR(64),
    "details" JSON NOT NULL
) /* One action that an operator may have to look up. */;
CREATE INDEX IF NOT EXISTS "idx_audit_at_50be99" ON "audit" ("at");
CREATE INDEX IF NOT EXISTS "idx_audit_uid_7aa578" ON "audit" ("uid");
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
    "eJzdl21v2jAQx7+KlVedtFVthmi1d7RjaqcVphJtU6fJOhITLBw7TS5rUct3n+0QEhJAML"
    "F14138vwcuvzs75skJM0iC404WcLxVD8478uRIiJh+qJteEwfieGEwa4ShsK5gnKzHMMUE"
    "fNTiCETKtBSw1E94jFxJ49qXjGgHvSI4BiQgiYpZAqgSEsGUjOEnI6iIUGpCsvjYZA2Ur9"
    "NyGf5ugkzy+4xRVCHDMUt0mu8/tMxlwB5ZWizjCR1xJoIlCty+qdUpTmOrXUv8YB1NbUPq"
    "K5FFsnSOpzhWcuHNpUUTMmmqZCY9JplBIzMh5ggLWnmlpUteYiUmYCPIhAFsovMCSs2htN"
    "f36KDrUeo04BcRFZxzyVfSNE6Xmtq3D00Jb9zT1lnr/G27da5dbJkL5WyW/3QJJg+0eHqe"
    "M7N2QMg9LOMSKmAT6nvNBnnEVpPNI2pkg3nIcfFQ51xQ3QS6EF6G9AaM3vVNd+B1bj6b9F"
    "Ga3guLqeN1jcW16rSmHrVfGV3pPZjvzEUS8vXauyJmSe76va6lqVIME/uLpZ9355iaIENF"
    "pXqgEFRBFnIhaddKV+2ubHb2cgzJmq4uImqd1Yj208vyFPob2yaCRyqYDHGsl+2TDc390r"
    "m9vOrcHrVPag3rzS2uNc2WAGerDqP1dLOVx9F2aOd74B/ZJTWwrW3AttaDbTXApiyxz7vQ"
    "rcT8IcQvOLynJ9tMr/ZaS9naljH7CQuYRA5iF9DLUYd4UOx9nhESfdPZBXIZcYCA3a2G2d"
    "0wzG5zmPWHUX87050+d2XI4Z0Y+5/igCFwsYLwx0G/t5pwJaR+V+Q+kmcieNq4jf8H87wB"
    "rYGxdEMskB7ddL7VaV9+6l/Ur34mwYVGb/4CjSaV+7oRhuBPHvTfPdqwKFet822aIjeqKy"
    "AhtCDNG89mvwCmVqA7"
)
