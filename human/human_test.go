package human

import (
	"math"
	"testing"
	"time"
)

func TestParseThousands(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "50000": 50000, "50,000": 50000, "50k": 50000, "1.5M": 1_500_000, "1.1M": 1_100_000, "1,234,567": 1_234_567, "50_000": 50000, "1e3": 1000, ".5M": 500_000, "2B": 2_000_000_000, " 8K": 8000} {
		if got, err := ParseThousands(text); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "k", "-1", "1.5", "50 kB", "1e99", "NaN", "0.0001k", "0x1p3", "5MB", "1kM", "1,5M", "1,00", "5,"} {
		if got, err := ParseThousands(text); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, tc := range []struct{ name, got, want string }{
		{"zero", Significant(0), "0"},
		{"small", Significant(0.04123), "0.0412"},
		{"very small", Significant(1.234e-9), "1.23e-09"},
		{"one digit", Significant(4.307), "4.31"},
		{"rounded to one digit more", Significant(999.6), "1000"},
		{"large", Significant(43071), "43100"},
		{"very large", Significant(1.7e308), "1.70e+308"},
		{"negative", Significant(-0.5), "-0.500"},
		{"none", Significant(math.NaN()), "NaN"},
		{"rate", Rate(1e-3), "1e-3"},
		{"rate of two digits", Rate(2.5e-4), "2.5e-4"},
		{"tiny rate", Rate(3e-12), "3e-12"},
		{"large rate", Rate(0.016), "0.016"},
		{"rate 0", Rate(0), "0"},
		{"bytes", Bytes(999), "999 B"},
		{"kilobytes", Bytes(1000), "1.00 kB"},
		{"just below a megabyte", Bytes(999_600), "1.00 MB"},
		{"gigabytes", Bytes(530_000_000_000), "530 GB"},
		{"short number", Thousands(999), "999"},
		{"long number", Thousands(1234567), "1,234,567"},
		{"no names", List(nil, 2), ""},
		{"all names", List([]string{"a", "b"}, 2), "a, b"},
		{"some names", List([]string{"a", "b", "c", "d"}, 2), "a, b and 2 more"},
		{"negative number", Thousands(int64(-123456)), "-123,456"},
		{"one thing", Count(1, "line"), "1 line"},
		{"no things", Count(0, "line"), "0 lines"},
		{"many things", Count(2000, "line"), "2,000 lines"},
		{"no time", Duration(0), "0.0 s"},
		{"seconds", Duration(42300 * time.Millisecond), "42 s"},
		{"minutes", Duration(200 * time.Second), "3 min 20 s"},
		{"almost an hour", Duration(time.Hour - time.Millisecond), "1 h 0 min"},
		{"hours", Duration(7500 * time.Second), "2 h 5 min"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.got != tc.want {
				t.Errorf("got %q, want %q", tc.got, tc.want)
			}
		})
	}
}

func TestScore(t *testing.T) {
	for v, want := range map[float64]string{0.83142: "0.8314", -0.5: "-0.5000", 99999.12345: "99999.1234", 3453939787121.8: "3.45e+12", math.Inf(1): "+Inf"} {
		if got := Score(v, 4); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}
