"""A function behind the authorizer of weapp-serverless. API Gateway has checked the access token before it
calls this code: who is calling stands in the event."""

import json


def handler(event, context):
    caller = event["requestContext"]["authorizer"]["lambda"]
    if event["routeKey"] == "GET /admin/hello" and caller["role"] != "admin":
        return answer(403, None, "forbidden")
    return answer(
        200,
        {
            "userId": caller["userId"],
            "appId": caller["appId"],
            "role": caller["role"],
            "sessionId": caller["sessionId"],
        },
    )


def answer(code, data, reason=None):
    """In the envelope of weapp-serverless, so that clients read both APIs alike."""
    body = {"code": code, "message": "操作成功" if code == 200 else "没有权限", "data": data}
    if reason:
        body["reason"] = reason
    return {
        "statusCode": code,
        "headers": {"content-type": "application/json", "cache-control": "no-store"},
        "body": json.dumps(body, ensure_ascii=False),
    }
