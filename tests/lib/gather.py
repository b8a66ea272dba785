"""Makes one ctest suite out of several build trees, so that there is one run and one summary.

gather.py OUT NAME=BUILD_DIR[:LABEL_ARG:LABELS]...      LABEL_ARG: -L or -LE of ctest
Tests appear as NAME/test, with the properties they have in their own tree.
"""
import json
import os
import subprocess
import sys

SCALARS = ("TIMEOUT", "WORKING_DIRECTORY", "SKIP_RETURN_CODE", "RUN_SERIAL", "PROCESSORS", "WILL_FAIL", "COST")
LISTS = ("ENVIRONMENT", "RESOURCE_LOCK", "LABELS", "PASS_REGULAR_EXPRESSION", "FAIL_REGULAR_EXPRESSION", "SKIP_REGULAR_EXPRESSION")


def quote(text):
    return "[==[" + str(text) + "]==]"


def main():
    out, count = sys.argv[1], 0
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "CTestTestfile.cmake"), "w") as f:
        for part in sys.argv[2:]:
            name, _, rest = part.partition("=")
            build, *select = rest.split(":")
            listing = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1", *select], check=True,
                                     stdout=subprocess.PIPE).stdout
            for test in json.loads(listing)["tests"]:
                full = quote(f"{name}/{test['name']}")
                # A program that was not built has no command; ctest then reports the test as not run, which is a failure.
                command = " ".join(quote(word) for word in test.get("command", ())) or "NOT_AVAILABLE"
                f.write(f"add_test({full} {command})\n")
                for prop in test.get("properties", []):
                    key, value = prop["name"], prop["value"]
                    if key in SCALARS:
                        f.write(f"set_tests_properties({full} PROPERTIES {key} {quote(value)})\n")
                    elif key in LISTS:
                        f.write(f"set_tests_properties({full} PROPERTIES {key} {quote(';'.join(map(str, value)))})\n")
                count += 1
    if count == 0:
        sys.exit("gather: no tests found")


main()
