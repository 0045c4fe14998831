"""A command's words are bytes: what a result says of them runs the same command again."""


def test_words_that_are_not_utf8_can_be_given_back(task):
    command = ["printf", "%s", "caf\udce9"]
    told = task.exec(command=command)
    assert told["command"] == command
    noted = task.logs()["entries"][0]["command"]
    assert noted == command
    again = task.exec(command=["sh", "-c", 'printf %s "$1" | od -An -tx1', "sh", noted[2]])
    assert again["stdout"].split() == ["63", "61", "66", "e9"]
