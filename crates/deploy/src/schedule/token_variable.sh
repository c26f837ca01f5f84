token=${WATCHBELL_CHECK_TOKEN-}
if [ -z "$token" ]; then
    echo 'reading the secret WATCHBELL_CHECK_TOKEN: got nothing, want the application'\''s check_token' >&2
    exit 1
fi
