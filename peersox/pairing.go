package peersox

// A Pairing is what two clients share: the code that one person tells the other, and the hash by which the server knows
// them for as long as the pairing is valid.
type Pairing struct {
	Code string `json:"code"` // six digits
	Hash string `json:"hash"` // 64 hexadecimal digits; who knows it and the code can take either client's place
}
