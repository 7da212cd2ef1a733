from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE TABLE IF NOT EXISTS "plugin_settings" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "user_id" VARCHAR(64) NOT NULL,
    "plugin" VARCHAR(200) NOT NULL,
    "content" JSON NOT NULL,
    CONSTRAINT "uid_plugin_sett_user_id_3cd295" UNIQUE ("user_id", "plugin")
) /* What a user has set for a plugin. */;
CREATE TABLE IF NOT EXISTS "users" (
    "uid" VARCHAR(64) NOT NULL PRIMARY KEY,
    "username" VARCHAR(100) NOT NULL UNIQUE,
    "is_admin" INT NOT NULL,
    "avatar_url" VARCHAR(255),
    "created_at" TIMESTAMP NOT NULL
) /* A user. */;
CREATE TABLE IF NOT EXISTS "credentials" (
    "id" VARCHAR(36) NOT NULL PRIMARY KEY,
    "service_name" VARCHAR(100) NOT NULL,
    "display_name" VARCHAR(100),
    "sealed" TEXT NOT NULL,
    "hint_prefix" VARCHAR(8) NOT NULL,
    "hint_suffix" VARCHAR(8),
    "created_at" TIMESTAMP NOT NULL,
    "user_id" VARCHAR(64) NOT NULL REFERENCES "users" ("uid") ON DELETE CASCADE
) /* A credential for a service elsewhere, sealed. */;
CREATE TABLE IF NOT EXISTS "service_keys" (
    "id" VARCHAR(36) NOT NULL PRIMARY KEY,
    "name" VARCHAR(100),
    "prefix" VARCHAR(16) NOT NULL,
    "digest" VARCHAR(64) NOT NULL,
    "scopes" JSON NOT NULL,
    "created_at" TIMESTAMP NOT NULL,
    "last_used_at" TIMESTAMP,
    "user_id" VARCHAR(64) NOT NULL REFERENCES "users" ("uid") ON DELETE CASCADE
) /* An API key; of its secret only a digest is kept. */;
CREATE INDEX IF NOT EXISTS "idx_service_key_prefix_50a6db" ON "service_keys" ("prefix");
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
    "eJzdlFFv0zAUhf9KlKchwTRC1E28dRUIELRorQCpmqzbxEmsOnZm34hNo/8dX7td0nSrxg"
    "sSvMXnnnN98znOfdzIthSKQV4LdfrVL+YcUajSxm+j+1hBzd3DUd/LKIamGbpIRljJftz2"
    "IyuLBjJ05QKk5U7Kuc2MaFBoRaHvFWAEUWu5iSqwkUtHhTZOCu1OqU2uM9fHNX12olXipu"
    "UMdcmx4sbllsuYIkzkVA/W+PraPQuV81tOKJa0bNasEFzme2hCyusM7xqvfVT43htpwhXL"
    "tGxr1ZmbO6y0enALhaSWXHEDyKk9mpaIqFbKLcMdpDB+Zwkj9jI5L6CVxJXSYYBOixmbzh"
    "Zs/m7BWHzAfJfoQd1KmVZ0Xm7U8GGUNMKr5HV6nl68GaUXzuLHfFDON2HrDkwIejzTRbzx"
    "dUAIDs+4g9o7j32ykwrM42j7R7jP1w0+5LujeQzwTugIdx/q30Bcwy2TXJVYueUoPcLz2/"
    "hq8mF8dTJKX9CG2t2rcO+m20riS4R8eKX/hHCX+A8BJ2dnzyDsXE8i9rV9xm5H5OF270P+"
    "NJ9NH4fciwwo5yLD6FckhT34XfwDtI/AJRjUubb2RvaZnnwZ/xjinnyeXXo42mJpfBff4N"
    "Khp390se79UEhYQbb+CSZnBxWd6Ke8h6U6qYcKKCg9SHrjzeY3B7FXsQ=="
)
