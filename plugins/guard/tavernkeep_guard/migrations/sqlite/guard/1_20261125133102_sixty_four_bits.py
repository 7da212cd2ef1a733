from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        """


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        """


MODELS_STATE = (
    "eJzdl11v2jAUhv+KlatO2hBLKXS7g46tTCtMEG1Tp8k6JCZYOHaaOG1Rx3+f7RASEkAwsX"
    "XjLn7PR06ec+I4T5afQOTV2olH5VA8WG/Rk8UhIOqibHqJLAjDlUGvJYyZcQXtZDzGsYzA"
    "lUqcAIuJkjwSuxENJRVcuw44QcpBrZCcgkTAkQhJBFJEKIA5msI9QVIgJsQMJWFNZ/WEq9"
    "JS7v9ugoTTu4RgKXwipyRSab7/UDLlHnkkcbYMZ3hCCfPWKFDzpEbHch4arUP9Hpfvja8u"
    "b4xdwZKA5/7hXE4FXwVQbuj4hOtCib6DjBJNhyeMLSlmwNJic5e0ykKMRyaQMM1YR6cF5J"
    "qFcX/g4FHXwdiq8M8iCkSXkiu47p0qNTYAfF3Cqze2fX7esuvnzcuLRqt1cVm/VL6m3qqp"
    "tUiLyWmlqQyz3ode39EFCTUg6dhoYWFiQEIaZZqR0wdZpf9OEZQ0IJv5pxEl/t4ypJZdlL"
    "uRsd/Vjkx4nn7sQOv0brojp33zWacP4viOGUxtp6sttlHnJfWs+WK9F6sk6GvPuUZ6iW4H"
    "/a6hKWLpR+aOuZ9za+maIJECc/GAwSuCzORMUq6FrprXt9rZqylEW7q6iih1ViE6Ti/z7e"
    "pvvFwBPGJGuC+natms72jul/bw6ro9PGvWSw3rLy22MS3WACebdq3tdJONm9Z+aJfvwD/y"
    "lpTANvYB29gOtlEBG5PIXB9CtxDzhxA/4/C+ru8zvcprK2VjW8fsRsQjXFJgh4BejzrFje"
    "Lo8ywhUkeiQyDnEScI2N5rmO0dw2xXh1l9GNW3Mz7oc5eHnN6Ocfwp9ogEyjYQ/jga9DcT"
    "LoSUz4rUlegnYjSunNn/g3negVbDWDshZkjPbtrfyrSvPg065aOfTtBR6PW/0mRWOK9rYQ"
    "zu7EH9F+KKRdhim2/VFNhBWQEOvgGpn3ix+AUVf6pi"
)
