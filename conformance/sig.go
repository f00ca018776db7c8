package conformance

import "slices"

// SignalingCases returns the cases of chapter SIG that judge a server. They come
// on top of those of [TranscriptCases].
func SignalingCases() []*Case {
	return slices.Concat(sigConnect, sigContent, sigClose, sigFrames, sigHeal)
}
