from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE TABLE IF NOT EXISTS "chat_generations" (
    "execution_id" VARCHAR(64) NOT NULL PRIMARY KEY,
    "uid" VARCHAR(64) NOT NULL,
    "owner" VARCHAR(64) NOT NULL,
    "project_id" VARCHAR(255) NOT NULL,
    "session_id" VARCHAR(64) NOT NULL,
    "node_id" VARCHAR(64) NOT NULL,
    "kept" INT NOT NULL,
    "live_output" VARCHAR(255),
    "live_node" VARCHAR(255),
    "answer_output" VARCHAR(255)
) /* An execution whose answer goes into a chat; there until it has. So none is forgotten when the server ends. */;
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
    "eJztl0trGzEQx7+K2FMLrWldxwnNyYQ+cnHBMb2UIuTVeFf1WtrqEScEf/eOtC8/gzfEpQ"
    "2+GGtm/qPZ38yK1UMUp8x2voAEzaxQcqQW0UfyEEk2B/yzy/2GRCzPK6dfWjbJ6mia1NEm"
    "xE6M1Sy26J+yzACaOJhYi9yHeNVAEriD2Pk1WaTKAGHSLECTRIEhQlpFGPG5L4lNQQNx0o"
    "qMCEtSZjrkRhGpJBBhyFTpRFkLPg/+YDQxoG8xFUhuOr4ermIsSMjk72/tpPjtgFqVgE+G"
    "Bfz4iWYhORZhqmU+o1MBGV/rQ10lFdynChHU3ufBe5Uy/Tlo/ANOaKwyN5e7dPm9TXFRCZ"
    "GEt5YtA77SJOmyrOxrZSrqR4PVDurCeWPgMGUu86326qKWxhZROvw2pjefxpRGW2NQKVba"
    "U5pinCQcIWyGCUzm7I5mIBOb4rLfWxb7NESKKL/h98Ho6utg9Krfe+03VDiHxaAOS083uJ"
    "YhBbOsSBI60aB37Yi75wRdGRrSzTv036Ju0KoF4mgDtxac8B6AN9fqF8S25ZGxrnqBoLtn"
    "ZweQxqi9qINvnbUBY9ofz+uqF8j6+YdaKg4tKa9ITogPQDyD3G7zvZZ2N94qfIMtVnsstu"
    "+OBTbxFbztvu+d9y4+9HsXGBKqrC3nj7C+Ho43QGbiFqhyNnc7eO6f1w3Zk2a2/CL7N0f2"
    "KCdwoOZf9daoK9EJ9EGgixvSE+Z6S3gCvhe4vwlOZysXEm+YsHi2YJrTLY/qqn2x2655d7"
    "5pYZIlgZ1/yOXyD9nfKzo="
)
