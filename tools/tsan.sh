#!/bin/sh
# tsan.sh BUILD [TEST…]: runs the tests of a build with ThreadSanitizer; all that have threads, or these. Fails if one fails, or if
# any process reports a race: also a supervisor, whose stderr is nowhere.
set -eu
build=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
shift
tests=$(echo "$*" | tr ' ' '|')
tests=${tests:-'sys_test|supervisor.*|engine.*|agent_test|mcp.*|proxy_test|net_test|downloads.*|state_process_test|jail_test|vmm_contract.*|cli_test'}
reports=$build/reports
rm -rf "$reports"
mkdir -p "$reports"
export TSAN_OPTIONS="log_path=$reports/race exitcode=66 history_size=4 suppressions=$root/tools/tsan.supp"
failed=0
ctest --test-dir "$build" -R "^sanitized\.(${tests})$" -j 2 --output-on-failure --no-tests=error || failed=1
if [ $# -eq 0 ]; then
  # The module's threads. Python itself has no sanitizer, so its runtime comes first.
  LD_PRELOAD=$(g++ -print-file-name=libtsan.so) PYTHONPATH="$build/python" PYRO_TEST_BIN="$build/bin" \
    /usr/bin/python3 -B "$root/tests/soak/python_threads.py" || failed=1
fi
for report in "$reports"/*; do
  [ -e "$report" ] || break
  echo "== $report"
  cat "$report"
  failed=1
done
[ $failed -eq 0 ] && echo "tsan: no race"
exit $failed
