package sealed

import (
	"fmt"
	"strings"
)

// Bech32m as of BIP-350: a prefix, "1", digits of five bits, and six of a checksum that finds up to four wrong ones.

const (
	bech32Digits = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	bech32mConst = 0x2bc830a3
	checkDigits  = 6
	maxText      = 90
)

// polymod is the remainder of BIP-173.
func polymod(check uint32, digit byte) uint32 {
	top := check >> 25
	check = check&0x1ffffff<<5 ^ uint32(digit)
	for i, g := range [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
		if top>>i&1 == 1 {
			check ^= g
		}
	}
	return check
}

// checksum returns the remainder of a prefix and digits.
func checksum(prefix string, digits []byte) uint32 {
	check := uint32(1)
	for i := range len(prefix) {
		check = polymod(check, prefix[i]>>5)
	}
	check = polymod(check, 0)
	for i := range len(prefix) {
		check = polymod(check, prefix[i]&31)
	}
	for _, d := range digits {
		check = polymod(check, d)
	}
	return check
}

// encodeText returns the Bech32m form of 32 bytes, in lower case (SEC-2).
func encodeText(prefix string, data [32]byte) string { return encodeBytes(prefix, data[:]) }

// digitsOf is how many digits n bytes have.
func digitsOf(n int) int { return (8*n + 4) / 5 }

// encodeBytes returns the Bech32m form of bytes, in lower case; their number is no multiple of 5.
func encodeBytes(prefix string, data []byte) string {
	digits := make([]byte, 0, digitsOf(len(data))+checkDigits)
	acc, bits := 0, 0
	for _, v := range data {
		acc, bits = acc<<8|int(v), bits+8
		for ; bits >= 5; bits -= 5 {
			digits = append(digits, byte(acc>>(bits-5)&31))
		}
		acc &= 1<<bits - 1
	}
	digits = append(digits, byte(acc<<(5-bits)))
	check := checksum(prefix, append(digits, make([]byte, checkDigits)...)) ^ bech32mConst
	for i := range checkDigits {
		digits = append(digits, byte(check>>(5*(checkDigits-1-i))&31))
	}
	var b strings.Builder
	b.WriteString(prefix)
	b.WriteByte('1')
	for _, d := range digits {
		b.WriteByte(bech32Digits[d])
	}
	return b.String()
}

// splitText returns the prefix and the digits of a Bech32m text without those of the checksum, which it has verified.
// Errors do not tell what the text is, as it may be a secret with a slip.
func splitText(text string) (prefix string, digits []byte, err error) {
	for i := range len(text) {
		if text[i] >= 0x80 { // the small form of some such letters is of ASCII, and shorter
			return "", nil, fmt.Errorf("%w: character %d cannot be in one", ErrText, i+1)
		}
	}
	if strings.ToLower(text) != text && strings.ToUpper(text) != text {
		return "", nil, fmt.Errorf("%w: small and capital letters are mixed", ErrText)
	}
	text = strings.ToLower(text)
	sep := strings.LastIndexByte(text, '1')
	if sep < 1 || len(text)-sep-1 < checkDigits || len(text) > maxText {
		return "", nil, fmt.Errorf("%w: it is too short or too long, or has no 1 in it", ErrText)
	}
	prefix = text[:sep]
	for i := range len(prefix) {
		if prefix[i] < '!' || prefix[i] > '~' {
			return "", nil, fmt.Errorf("%w: character %d cannot be in one", ErrText, i+1)
		}
	}
	for i, ch := range []byte(text[sep+1:]) {
		d := strings.IndexByte(bech32Digits, ch)
		if d < 0 {
			return "", nil, fmt.Errorf("%w: character %d cannot be in one", ErrText, sep+i+2)
		}
		digits = append(digits, byte(d))
	}
	if checksum(prefix, digits) != bech32mConst {
		return prefix, nil, fmt.Errorf("%w: the checksum is wrong: a character was changed, added or lost", ErrText)
	}
	return prefix, digits[:len(digits)-checkDigits], nil
}

// decodeText returns the 32 bytes of a text with this prefix; what says what that is (SEC-2).
func decodeText(prefix, what, text string) (data [32]byte, err error) {
	err = decodeInto(data[:], prefix, what, text)
	return data, err
}

// decodeInto reads a text with this prefix that stands for as many bytes as data has. It leaves data 0 if it fails.
func decodeInto(data []byte, prefix, what, text string) error {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(strings.ToLower(text), prefix+"1") {
		return fmt.Errorf("%w: %s begins with %s1", ErrText, what, prefix)
	}
	if want := len(prefix) + 1 + digitsOf(len(data)) + checkDigits; len(text) != want {
		return fmt.Errorf("%w: %s has %d characters, this has %d", ErrText, what, want, len(text))
	}
	_, digits, err := splitText(text)
	if err != nil {
		return err
	}
	acc, bits, n := 0, 0, 0
	for _, d := range digits {
		acc, bits = acc<<5|int(d), bits+5
		if bits >= 8 {
			bits -= 8
			data[n] = byte(acc >> bits)
			acc &= 1<<bits - 1
			n++
		}
	}
	if acc != 0 { // of the bits that are left
		clear(data)
		return fmt.Errorf("%w: its last bits are not 0", ErrText)
	}
	return nil
}
