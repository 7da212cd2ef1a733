from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE "executions" ADD "reserved_seq" BIGINT NOT NULL DEFAULT 0;
        ALTER TABLE "executions" ADD "request_id" VARCHAR(300);
        CREATE UNIQUE INDEX "uid_executions_user_id_b45f9a" ON "executions" ("user_id", "request_id");"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        DROP INDEX IF EXISTS "uid_executions_user_id_b45f9a";
        ALTER TABLE "executions" DROP COLUMN "reserved_seq";
        ALTER TABLE "executions" DROP COLUMN "request_id";"""


MODELS_STATE = (
    "eJztmm1z2jgQx7+Kxq96M7kMT4W09woo6XFNYYbQm3YyGVfYC+iwJUeWS5iW736SjTF+LJ"
    "CQhAzv8Ep/W/7tst61/FObElcwvjjv/AAqWhYzZtp79FOj2Ab5I2v4DGnYcTYGlUXgkeUL"
    "4B4MTxBGdVAS158+cgXHhpDjY2y5IE0muAYnjpqoVNfMBhQIEBsjTNH6PEhMsUBjZllsjg"
    "AbU8TEFPh7aQfCkQ2uiyfgniGD2Q6XR2D+hVwA9N3BxozQyfdztQaTGXIR8vBpLudRcueB"
    "LtgElFxe9OZWmgk15ZVcdXgToVICC7tCd+FOu1XznJk+JmCZMV8QU0307bpYOL6tRSZdKi"
    "79ueouR7rBLM+m0XxnIabSG6GAUKGsE6DAsQB1BcE95RLqWdbKi6GXgruIpgTL39CYMMae"
    "pRyr1MECIpum673+UL/uDHVdSzk9VGw4ZmUyGFUBQ1T4KAATtYQ/31Uq1WqjUqrWL97WGo"
    "23F6ULxU2NpYcay2AxEa3gVD6z7sdub6gWxGRUBmGrDEtfgwUOVL6XIvpjwlce2skJMdnv"
    "fRGSL3JGaIi8Ef2rXpk7Ivzr/8dO9DdVJ/j7wycU3CzyFPNFDvlQksA+WojAfmTgixhe9V"
    "vqzLbr3lnK8G9z0Or2moNvbz43v/7hDy1WQ1f93sdwvsNcMeH+ibTWt2GnmaAuCd6rp2aK"
    "+z/X/V5Oyo8kCe4mMQT6hSz5yH5d9BWMGP2exN/+uzlYw48iu9fOQK9O0Eqgj6qYrIdue4"
    "p5Nv+kLuEEeUtHCF+z8b1uAZ2IqTys1wqcEaKv15LkVyMVf2i5VEXOeJb5oI2VRXHwl4wD"
    "mdBPECSdrlwmpgZkkF7XreHJBmx+hOiXYYCF1qj04ni+rhFTcSd/mGCBCMK1ed1ufuhoPv"
    "SRrFLnmJt6jL4aYRWWsKznpofsip20YCoLY3N1K2rhmT7IbC4STtqmvdiysWhulPZnaMyZ"
    "jYgs+l1vZBPXVfU+o+doSGRdjzAHZBNLpkiQwE05i8jgQuV3jdIZ+jJsp/uIRz97Rttwo3"
    "ku8JVfOchhWdLIo9tUP7Exz1+BkGGuY7FjR5Gf3B4zpT1vQ3GAhFbUOmw4ZlvWG5LTMyQX"
    "eRzxLoVSOP9UJT2gSpJPX+Fl9AX5YR0pDhXVz5dHyvUtgrpczw1qNRTnO2d8NrbYXPcNO2"
    "BOCfeivUL5UqI7TrtaKm2BW87K5e2PxYE7nP0HhtgxV8dVJ9RboY5VKCnYRe90ksrTe529"
    "3+vIdMz3ckFMt5cDXlrEPwt/tYegurTdPZBUnnywrw+AcyZLbTpmu9SPcdWDqsgX5oWnLi"
    "LnmFO5nowyMp/+puZUwT8AvoMXFsMZ1c4Q7nMyz4bkVXSmBciHna/DYuSx9/rh9KQfjncj"
    "q/SqMr38HwD/IR+ZO9NPKk8e2NcD69eXKf75/VVcdeqvtuqvwgIxI9AZswDT4royg/RI6g"
    "4V5uFbmyfeuO33r2L5vdVNJvAvn1udwZuyT15OIqKok8qoYYpbqKwC5oDJpHzYZFIp1xq1"
    "i2q9ts4ha0tR6ghgpjYE8zerIuoj9UFa1ocJK93lpwFYONxLzNsijH3adpzVS2qDcPn4O3"
    "rL/wF8NMc6"
)
