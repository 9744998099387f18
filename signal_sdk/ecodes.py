"""The documented error codes, as one `IntEnum`.

Owns: each code's number, name and meaning. Must not know who reports it, or over which wire.
"""

from __future__ import annotations

import enum
from typing import Final

__all__ = ["ECode"]


class ECode(enum.IntEnum):
    """An error code of the signaling system (both documents' page "Error Codes and Warning Codes").

    A member is the documented integer, so callbacks that compare with plain numbers go on working;
    `meaning` is one line for people. Codes that mean "obsolete" are never sent by our server.
    """

    SUCCESS = 0

    LOGOUT_E_OTHER = 100
    LOGOUT_E_USER = 101
    LOGOUT_E_NET = 102
    LOGOUT_E_KICKED = 103
    LOGOUT_E_PACKET = 104
    LOGOUT_E_TOKENEXPIRED = 105
    LOGOUT_E_OLDVERSION = 106
    LOGOUT_E_TOKENWRONG = 107
    LOGOUT_E_ALREADY_LOGOUT = 108

    LOGIN_E_OTHER = 200
    LOGIN_E_NET = 201
    LOGIN_E_FAILED = 202
    LOGIN_E_CANCEL = 203
    LOGIN_E_TOKENEXPIRED = 204
    LOGIN_E_OLDVERSION = 205
    LOGIN_E_TOKENWRONG = 206
    LOGIN_E_TOKEN_KICKED = 207
    LOGIN_E_ALREADY_LOGIN = 208
    LOGIN_E_INVALID_USER = 209

    JOINCHANNEL_E_OTHER = 300

    SENDMESSAGE_E_OTHER = 400
    SENDMESSAGE_E_TIMEOUT = 401

    QUERYUSERNUM_E_OTHER = 500
    QUERYUSERNUM_E_TIMEOUT = 501
    QUERYUSERNUM_E_BYUSER = 502

    LEAVECHANNEL_E_OTHER = 600
    LEAVECHANNEL_E_KICKED = 601
    LEAVECHANNEL_E_BYUSER = 602
    LEAVECHANNEL_E_LOGOUT = 603
    LEAVECHANNEL_E_DISCONN = 604

    INVITE_E_OTHER = 700
    INVITE_E_REINVITE = 701
    INVITE_E_NET = 702
    INVITE_E_PEEROFFLINE = 703
    INVITE_E_TIMEOUT = 704
    INVITE_E_CANTRECV = 705

    GENERAL_E = 1000
    GENERAL_E_FAILED = 1001
    GENERAL_E_UNKNOWN = 1002
    GENERAL_E_NOT_LOGIN = 1003
    GENERAL_E_WRONG_PARAM = 1004
    GENERAL_E_LARGE_PARAM = 1005

    @property
    def meaning(self) -> str:
        """What the code means, in a few words."""
        return _MEANINGS[self.value]


_MEANINGS: Final = {
    0: "no error",
    100: "logged out for another reason",
    101: "the user logged out",
    102: "the network failed",
    103: "the account logged in elsewhere",
    104: "obsolete",
    105: "the token expired",
    106: "obsolete",
    107: "obsolete",
    108: "logout called when already logged out",
    200: "login failed for an unknown reason",
    201: "the network failed",
    202: "the server rejected the login",
    203: "the user cancelled the login",
    204: "the token has expired",
    205: "obsolete",
    206: "the token is not valid",
    207: "the account logged in elsewhere with a renewed token",
    208: "already logged in",
    209: "the account is not valid",
    300: "joining the channel failed",
    400: "sending the message failed",
    401: "sending the message timed out",
    500: "querying the number of users failed",
    501: "querying the number of users timed out",
    502: "obsolete",
    600: "left the channel for an unknown reason",
    601: "an administrator removed the user from the channel",
    602: "the user left the channel",
    603: "left the channel by logging out",
    604: "left the channel because the network failed",
    700: "the call failed",
    701: "the call exists already",
    702: "the network failed",
    703: "the peer is offline",
    704: "the call timed out",
    705: "obsolete",
    1000: "general error",
    1001: "the operation failed",
    1002: "unknown error",
    1003: "not logged in",
    1004: "a parameter is wrong",
    1005: "a parameter is too large",
}
