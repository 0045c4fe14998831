"""Commands of many words."""

import harness


def test_ten_thousand_words_reach_the_command(create):
    task = create()
    words = [f"src/folder/file-{number}.cc" for number in range(10_000)]
    done = task.exec("sh", "-c", 'echo $#; printf "%s\\n" "$@" | tail -n 1', "sh", *words)
    assert done.text.split() == ["10000", words[-1]], done
    assert task.entries()[0]["command"][4:] == words


def test_a_command_that_is_too_long_says_what_to_do(pyro):
    done = pyro("run", harness.BASE, "--", "true", *["x" * 120] * 10_000)
    harness.expect_error(done, 125)
    assert "10001 words" in done.talk and "1.25 MiB" in done.talk, done
