from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE TABLE IF NOT EXISTS "llm_channels" (
    "id" VARCHAR(36) NOT NULL PRIMARY KEY,
    "user_id" VARCHAR(64) NOT NULL,
    "label" VARCHAR(200) NOT NULL,
    "adapter" VARCHAR(50) NOT NULL,
    "base_url" VARCHAR(2000) NOT NULL,
    "sealed_key" TEXT NOT NULL,
    "key_hint" VARCHAR(20) NOT NULL,
    "content" JSON NOT NULL,
    "disabled" INT NOT NULL,
    "created_at" TIMESTAMP NOT NULL
) /* A service that answers; its key is sealed. */;
CREATE INDEX IF NOT EXISTS "idx_llm_channel_user_id_50abd3" ON "llm_channels" ("user_id");
CREATE TABLE IF NOT EXISTS "llm_models" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "user_id" VARCHAR(64) NOT NULL,
    "model_id" VARCHAR(300) NOT NULL,
    "content" JSON NOT NULL,
    "created_at" TIMESTAMP NOT NULL,
    CONSTRAINT "uid_llm_models_user_id_2605bf" UNIQUE ("user_id", "model_id")
) /* A model that a user has activated. */;
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
    "eJztmFtv2jAYhv9KlCsmdVULlFbbFbRsZSpkotlWtaosQ0ywcBwaO6Wo47/Pdg6YEKKg9Y"
    "h6l3wnO4/fJPb3aBLigaFPR9jdPx1DShHp+zPzi/FoUughcbEhYs8w4XS66pdGDgdkmRbF"
    "MxU9YDyAQy58I0gYEiYHsWGApxz7VGY0DYaCezxEBh9DbkDKZihgXw3MmTFBcwMzEQAJcv"
    "ZlPccfioKYutunhhTfhQhw30V8jAJR4OZWmDF10ANiye10AkYYEWcFBnZkAWUHfD5VNkEl"
    "+KYi5bQGAgYJPbqMns752KdpuJi1tLqIogBy5GhAaEhIzC8xRXMVBh6EKJ2kszQ4aARDIr"
    "HK7GgGS5sJQM+ywWXbBsBcQ55kaChjk1hQuVyYcqae34MPgCDq8rG4rTUW0ThLDlGUHPB3"
    "s3963uxXao1PckBfrHkkiF7sqSrXQpWAHEZFFPUl5lAsJ9iOtZbyNMATw1sg3qiXIN6oby"
    "QuXZK49lbDASLb8E0Tnovu8qvw4nirBwcl+IqojYCVb5UwdOCUo2AbxlrKDlI+KgP5aDPj"
    "ozXEA8gQCIOtdKzn7CBkIcSSWi4U8xrq6PcJxM90HbaNHng+7NWsncBdANduX9myssfYHd"
    "GRVrrNK0Xbm8eeC6v3PQnXluD0wmplwAt2YCwG30bjes5OQM9qvJTCC/SdVbcYjqM8xj8u"
    "rV4+Yy0lg9jBQ278NQhm/B2iLkArYRTrOytlCcdn3A1UFVUgq28HM0kiZ6/X8n2CIM3Hr6"
    "dl+A9E3nOBTy0vS75lWRcr5Fud7KfjV7fV7lcO1TKIIMyVudOzs1IPkGQCYI7az4SHYw9t"
    "UPxKZlb0cep+cvEOpW+KB3QsSuZmtNcv+tR3uu1Lu9n9ubIqZ027LT3VlW99Yq1kT0RpEe"
    "NPxz435K1xbfXa2dcmjbOvTTknGHIfUH8GoKMdSxJrQm0hD7GjiXa+koYBHE5mMHDAmsev"
    "+pti111e1ctaIIWuWjMJV05Taxx0faewsZD698q0FTwZXbqpoKLjvoAhT4nGGDJDJOF7Kc"
    "28ZkKZlJwmwo1+CFU15PXt//QWOnTDzir3pBv/8vXXLhbH2+0suHIKn6uH9eP6Sa1RP5HC"
    "kabUclzwGiaft/fWSXjFzdPTtxJSpW/BWM/ZQci1UoewWsEZrLZ+BPvYpL7aJvVj0/SxaX"
    "qBTdPiH+vxKD0="
)
