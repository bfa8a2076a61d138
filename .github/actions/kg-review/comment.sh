#!/usr/bin/env bash
# Posts $REPORT/comment.md to its pull request, or updates the comment that an earlier run posted.
# The folder was made by a run of somebody's fork and is not trusted: the number must be one, the pull request must be
# open with the very commit whose run GitHub says made the folder, sizes are capped, and nothing of it is executed.
# Reads REPORT, REPOSITORY, HEAD_SHA (from the workflow_run event, not from the folder) and GH_TOKEN through gh.
set -euo pipefail

MARKER='<!-- kg diff -->'
MAX_BYTES=65000 # a comment holds 65,536 characters

refuse() {
  echo "::error title=kg-review::$1"
  exit 1
}

for name in comment.md number head; do
  [[ -f "$REPORT/$name" && ! -L "$REPORT/$name" ]] || refuse "the report has no file $name"
done
(($(wc -c <"$REPORT/number") <= 16)) || refuse "the report's number is too long"
(($(wc -c <"$REPORT/comment.md") <= 4 * MAX_BYTES)) || refuse "the report's comment is too long"
number=$(tr -d '\n' <"$REPORT/number")
[[ -n "$number" ]] || {
  echo "No pull request: nothing to comment on."
  exit 0
}
[[ "$number" =~ ^[1-9][0-9]{0,9}$ ]] || refuse "the report's number is none"
[[ "$HEAD_SHA" =~ ^[0-9a-f]{40}$ ]] || refuse "the event names no commit"
[[ "$(head -c 64 "$REPORT/head" | tr -d '\n')" == "$HEAD_SHA" ]] || refuse "the report is about another commit"
IFS= read -r first <"$REPORT/comment.md" || true
[[ "$first" == "$MARKER" ]] || refuse "the report's comment does not begin with $MARKER"

pull=$(gh api "repos/$REPOSITORY/pulls/$number" --jq '.state + " " + .head.sha')
case "$pull" in
  "open $HEAD_SHA") ;;
  "open "*)
    echo "Pull request $number has moved on from $HEAD_SHA: its next run comments."
    exit 0
    ;;
  *)
    echo "Pull request $number is not open."
    exit 0
    ;;
esac

body=$(mktemp)
trap 'rm -f "$body"' EXIT
# Whole characters only: iconv drops what the cut leaves of the last one, and what is not UTF-8 at all.
head -c "$MAX_BYTES" "$REPORT/comment.md" | tr -d '\000' | iconv -f utf-8 -t utf-8 -c >"$body" || true
mine=".user.login == \"github-actions[bot]\" and (.body | startswith(\"$MARKER\"))"
comment=$(gh api --paginate "repos/$REPOSITORY/issues/$number/comments?per_page=100" --jq ".[] | select($mine) | .id" | sed -n 1p)
if [[ "$comment" =~ ^[0-9]+$ ]]; then
  gh api --method PATCH "repos/$REPOSITORY/issues/comments/$comment" --field "body=@$body" --silent
  echo "Updated comment $comment of pull request $number."
else
  gh api --method POST "repos/$REPOSITORY/issues/$number/comments" --field "body=@$body" --silent
  echo "Commented on pull request $number."
fi
