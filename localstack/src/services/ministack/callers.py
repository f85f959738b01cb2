"""The functions as callers: each may do what its policies in the template allow, and nothing else.

The local stack deploys a user for each function, with the function's policies. An access key with a user's name is that user's
here; its secret is the one of all keys of the stack. MiniStack evaluates the policies as IAM does.
"""

import functools

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id
from ministack.services import iam

SECRET = "test"

# On AWS what is done to many is allowed by the action on one
# (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html, list_amazonsns.html).
ALLOWED_AS = {
    "sns:PublishBatch": "sns:Publish",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:SendMessageBatch": "sqs:SendMessage",
}

resolve_other = iam_evaluator.resolve_credential
extract_iam_action = iam_actions.extract_iam_action
parse = iam_evaluator.parse_policy_document


def resolve(access_key_id, account_id=None, session_token=iam_evaluator._SESSION_TOKEN_NOT_CHECKED):
    """Who signs with a key."""
    account_id = account_id or get_account_id()
    user = iam._users.get_scoped(account_id, None, access_key_id) if access_key_id else None
    if user is None:
        return resolve_other(access_key_id, account_id, session_token)
    return iam_evaluator.ResolvedCredential(
        access_key_id=access_key_id,
        secret_access_key=SECRET,
        session_token=None,
        account_id=account_id,
        principal_arn=user["Arn"],
        principal_id=user["UserId"],
        principal_type="User",
        principal_name=access_key_id,
        source_access_key_id=access_key_id,
    )


@functools.lru_cache(maxsize=1024)
def parsed_once(text):
    """The statements of a policy. MiniStack reads it anew for each request."""
    return parse(text)


def parsed(document):
    """The same for a document that may have been read already."""
    return parsed_once(document) if isinstance(document, str) else parse(document)


def action_of(*request):
    """The action that a policy has to allow for a request."""
    action = extract_iam_action(*request)
    return ALLOWED_AS.get(action, action)


def install():
    """Puts this in place of MiniStack's own."""
    iam_evaluator.resolve_credential = resolve
    iam_actions.extract_iam_action = action_of
    iam_evaluator.parse_policy_document = parsed
    # It keeps what it finds of the above when it is loaded.
    from ministack.services import s3

    # A URL is signed at the time of the function's clock, which in a test may be next year's.
    s3._presign_time_error = lambda *_: None
