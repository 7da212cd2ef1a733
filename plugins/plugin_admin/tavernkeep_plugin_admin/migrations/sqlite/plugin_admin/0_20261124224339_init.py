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
