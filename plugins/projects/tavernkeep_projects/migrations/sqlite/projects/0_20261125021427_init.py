from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE TABLE IF NOT EXISTS "project_shares" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "owner" VARCHAR(64) NOT NULL,
    "project_id" VARCHAR(255) NOT NULL,
    "grantee" VARCHAR(64) NOT NULL,
    "writable" INT NOT NULL,
    CONSTRAINT "uid_project_sha_owner_8ca375" UNIQUE ("owner", "project_id", "grantee")
) /* A project that its owner lets another user, or everybody, see. */;
CREATE INDEX IF NOT EXISTS "idx_project_sha_owner_fc2019" ON "project_shares" ("owner");
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
    "eJzVlV1r2zAUhv+K0VUHWaGZm5bdJaVjhS0ZababUoRsnzhaZMmV5KWh5L9XR45jO19ssH"
    "TsTnrPeaVzHsnyC8m1+gmxNeffysH9jGkgH4MXIlmGgwMZnYCwPG/GUbIsEk0TNZjsQywy"
    "VrPYuuiUCQNOSsDEmueWK4mefrB2BXbGbMCtCdRCgg4EuCGTys7cpDCgO4HSAfwCvYxUsu"
    "wEBuAc90hU7DbhMv07yxWSPxVArUoBc92iDw/Er4HRqkWe4CzVTFoA8vjoJlwm8Ozadgac"
    "5nM65SCSFtbS5nVql7nX7qT95BOxl4jGShSZrJPzpZ0pucnm0vqdwRXELODyVhcIVhZCrE"
    "+iYl32UqeUJTY8CUxZIfB40F0WUGuE0uFoQu9vJ5SSnaOrHA38aylWEo/dlWp89ymW8L57"
    "EV6F1x964bVL8WVulKtVuXUNpjR6PMMJWfk4s6zM8IxrqJvDaXO9cbdwP9j6NNtsXdHbbC"
    "uSx+BWwj+im7FnKkCmduamvfAIyh/98c3n/visF77DDZX7MssPd7iOdH0Iae+8BHTf1T2M"
    "uO06Fef6TXlz0N3Ly98g7bIOovaxNuvqPfkD0A3L21Em5D+9zAvNy7/VDuGBUgKY3A+5ad"
    "uiHDnfqTBvlBOQPkJ2MBp9wZUzY56EF+4mW4i/fx3cjs8uPHmXxC3UTzX+/KbzxkuNQsTi"
    "+YLphO5EVFcdyt0NZd1sW2GSpZ4f9rlavQIFL9it"
)
