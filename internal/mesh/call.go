package mesh

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// A Call is what a peer says of itself that opens a WebSocket to a member which listens (CHN-9).
type Call struct {
	Kind   uint32 // what the peer is to be to the member
	Group  int64  // the group's id, or what originals send in its place
	Sender int64
	Key    string // "" for none
	Sealed bool   // by a member of a sealed group: Sender is the index of the session here (SEC-22)
}

// ErrCall says that a WebSocket is not accepted (CHN-10).
var ErrCall = errors.New("netflux: call refused")

func refused(why string) error { return fmt.Errorf("%w: %s", ErrCall, why) }

// ParseCall reads the query of a URL that was dialled (CHN-9, CHN-10).
func ParseCall(query string) (Call, error) {
	var call Call
	seen := make(map[string]string)
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		if _, again := seen[name]; !again {
			seen[name] = value
		}
	}
	var errs [3]error
	var k int64
	k, errs[0] = strconv.ParseInt(seen["type"], 10, 64)
	call.Group, errs[1] = strconv.ParseInt(seen["wcId"], 10, 64)
	call.Sender, errs[2] = strconv.ParseInt(seen["senderId"], 10, 64)
	plus := strings.Contains(seen["type"]+seen["wcId"]+seen["senderId"], "+") // ParseInt takes it for a sign
	if errors.Join(errs[:]...) != nil || plus || k < 0 || k > int64(withMember) {
		return call, refused("type, wcId or senderId is missing or malformed")
	}
	call.Kind = uint32(k)
	call.Sealed = seen["sealed"] == "1"
	// Originals do not encode the key, so that a + is one, and a % may stand alone.
	call.Key = seen["key"]
	if key, err := url.PathUnescape(call.Key); err == nil {
		call.Key = key
	}
	return call, nil
}

// Invites reports whether a call is one to join the caller's group.
func (c Call) Invites() bool { return !c.Sealed && kind(c.Kind) == withMember && c.Key != "" }

// InvitesSealed reports whether a call is to invite the one who is called into a sealed group: an [Anteroom] has to find out
// into which (SEC-22).
func (c Call) InvitesSealed() bool { return c.Sealed && kind(c.Kind) == withMember && c.Sender == -1 }

// maxURL is the longest URL of a member that is dialled, in bytes.
const maxURL = 2048

// dialSealedURL returns the URL by which a member of a sealed group that listens is dialled: only who has the session knows
// what it means. An invitation has -1 as index (SEC-22).
func dialSealedURL(base string, k kind, index int64) string {
	return strings.TrimSuffix(base, "/") + "/?type=" + strconv.Itoa(int(k.remote())) +
		"&wcId=0&senderId=" + strconv.FormatInt(index, 10) + "&sealed=1"
}

// dialURL returns the URL by which a member that listens is dialled (CHN-9).
func dialURL(base string, k kind, group uint32, me, key string) string {
	u := strings.TrimSuffix(base, "/") + "/?type=" + strconv.Itoa(int(k.remote())) +
		"&wcId=" + strconv.FormatUint(uint64(group), 10) + "&senderId=" + me
	if k != internal {
		u += "&key=" + strings.ReplaceAll(url.QueryEscape(key), "+", "%20")
	}
	return u
}

// isWebSocketURL reports whether a URL can be dialled (BLD-9).
func isWebSocketURL(u string) bool {
	return (strings.HasPrefix(u, "ws://") || strings.HasPrefix(u, "wss://")) && len(u) <= maxURL && !strings.ContainsAny(u, "?#")
}
