from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE TABLE IF NOT EXISTS "execution_life" (
    "id" INT NOT NULL PRIMARY KEY,
    "name" VARCHAR(64) NOT NULL,
    "place" VARCHAR(64)
) /* The one row of the life that a server has on this database; see `life`. */;"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        DROP TABLE IF EXISTS "execution_life";"""


MODELS_STATE = (
    "eJztWl1z2jgU/Ssanroz2QwQCmn3CVjSZZvCDKE77WQyrrAFaGNLjiSXMF3++0r+/iSYBB"
    "IY3vDVPbZ8zkW6V76/KnPMBWXL895PRETHpPp95SP4VSHQQvJH3vAZqEDbjg0qi4AT0wWg"
    "R6Q7AlOiIQXhrvuECwZ1Icen0ORImgzEdYZt5ahQN9RCwAMAOgWQgPA+QMyhAFNqmnQBEN"
    "TngIo5Yh+lHWEGLMQ5nCF+BnRq2UxeIeMPwBECP2yo32My+3Gu5mBQXU5CXu7ncQ7BDw7S"
    "BJ0hBZcPvb2TZkwM+SSuLm8jqhTAhFxoHD1U7pSffa9NMTKNhBbYUI6uXRNL27V18KxPxJ"
    "Xrq95younUdCwS+dtLMZdqBABMhLLOEEEMCqSeIJijJCGOafoqBip5bxG5eNOPYQw0hY6p"
    "hFVobwKRraJpg+FYu+mNNa2SET1AxITxTTolKmCwCh9FwExN4fcP9frFRatevWhevm+0Wu"
    "8vq5eKNzWWHWqtvMlEbHm3cjnrf+oPxmpCVEalF7bKsHIxUEAP5aoUsT/FzFeolAgJ2NNa"
    "BMyvEyMwRGpE/6ojkyOiP/x/lGI/jjqRvz35mCCexzyBbFnAfABJ0T5ZCs9+YMSv4/B62F"
    "F3tjh/MJXhn/ao0x+0R9/ffWl/+80dWvpD18PBp8DfplzMmHujSuf7uNdOsS4ZfFS7Zob3"
    "v2+Gg4IlP4KkeDewLsB/wJRb9nGxr8hIsD+Q9Hf/ao9C8qPIHnRzqFc36KSoj7KYvE23O4"
    "csn/80LiWCfKUDJL9iwUfNRGQm5vKy2VgjRkB9s5Fm3h+pu0OrlUpypve5G20iLUoSf0UZ"
    "wjPyGXmLTl9OExId5TAd5q3BzUZ0cYDUr4IAC6xR6sXgIswRM3EnfxjIRMIL1/ZNt/1nr+"
    "KSPpFZ6gIyQ0uwr0ZonaYsoW92yKpbaQskMjE2/FdRE8/VILe4SIm0SXmxYWHRjqX2Z2DK"
    "qAWwTPq5M7Ew5yrfp+QcjLHM6wFkCFjYlEskkoQb0gvL4AK1D63qGfg67mbriBe/e07ZcF"
    "txOGK+rgzJYZnSyKu7TD0R8yOONZFw6XIb/i5VVxQvcS+5sL1uWbGDZW1dAeHrUCp/jTD7"
    "y16rR5W6Ipvq8yzphYyH/vsjvLZbwuu1RqtxedFshDyHlnX0ZqmEQiDLFjmFQCGbccjRRP"
    "CLEWpDuWTnHepQaiJI8imNQOnKSqJ2xWho2XNlNRxeJ3L7Tj/1hx98/dLpjd7V3HVZOmFR"
    "sA7ENsdNd7oY5JTHF254SYrLFKuB/6lSfUalKisg4eQsycVhHSF2FdWvl8XVmhsEda1ZGN"
    "RqKMnvgrL7qUkXmmsoQXMGuBXbPpVvJbqTbF9UqxvQLb0K+XbHUpsio/8iXZRcq5OoE9Ub"
    "Ue3WqTJDMzSYc8q4ri5JI09n61sXKHI5ZltJkMBtJcBbi/hX4V99x1UnZeUVSCNPGmyrge"
    "FIhtTppZX7lalYghTwpMDWxySMUVnskCktk8EnUc/K49+YCvtO4xeQETmfnPAvZj+OOdVQ"
    "zyDfhkuTwpx8c4weCxaeGOQozgbWUD7ufRuvpzzxdTtwT+twuO0cx3UgLv8HiP2USUtp9t"
    "PIkwLbKhB+xMvwX1zhJlGnCnejCjdI0UuescdhezxlD87NDvaQXXdKdSv57qe8sVzqkumd"
    "Ke7riKSZqN7tvOrKx119HiETBm03Rd00iS7ww0xxMr00q502v1zjKSrqewnGzjbsqDelv+"
    "v8ZNvLeI4AJQgwulAN7kJeKrDX3A6Bu48zMIccuB3vmAPVtjCBHPnN7Mo7p3H+Be/7dId8"
    "qYaVZ3fBv/1+lRf5+rymP6XkB45nfdd4a4vDrr+N2ibUS7EbAo4v09tRB+k+uxtX/wO7Nu"
    "RF"
)
