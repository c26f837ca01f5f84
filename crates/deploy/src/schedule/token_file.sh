# The application's check_token, one line.
file=${WATCHBELL_TOKEN_FILE:-@token_file@}
if ! { IFS= read -r token || [ -n "$token" ]; } <"$file"; then
    echo "reading the token in \"$file\": got nothing, want the application's check_token" >&2
    exit 1
fi
