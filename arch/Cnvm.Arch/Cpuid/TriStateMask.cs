using System.Globalization;

namespace Cnvm.Arch.Cpuid;

/// <summary>What a profile does with each bit of a register: clears it, demands it, or leaves it as the host has it.</summary>
/// <param name="Forced">Bits that the profile decides; the others stay.</param>
/// <param name="Value">Their values; zero where <paramref name="Forced"/> is.</param>
public readonly record struct TriStateMask(ulong Forced, ulong Value)
{
    /// <summary>Exactly these bits of a 32-bit register.</summary>
    public static TriStateMask Exactly(uint bits) => new(uint.MaxValue, bits);

    public ulong ApplyTo(ulong value) => (value & ~Forced) | Value;

    /// <summary>
    /// Reads <c>0b</c> and digits, the highest bit first: 0 clears, 1 demands, x leaves; underscores separate; bits that are not written
    /// are left.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<char> text, int bits, out TriStateMask mask)
    {
        mask = default;
        if (!text.StartsWith("0b", StringComparison.Ordinal))
        {
            return false;
        }

        ulong forced = 0;
        ulong value = 0;
        int digits = 0;
        foreach (char c in text[2..])
        {
            if (c == '_')
            {
                continue;
            }

            if (c is not ('0' or '1' or 'x') || ++digits > bits)
            {
                return false;
            }

            forced = (forced << 1) | (c == 'x' ? 0u : 1u);
            value = (value << 1) | (c == '1' ? 1u : 0u);
        }

        mask = new TriStateMask(forced, value);
        return digits > 0;
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"forced 0x{Forced:x} to 0x{Value:x}");
}
