namespace Cnvm.Sandbox.Images;

/// <summary>A digest of content (OCI image specification, "Digests"): sha256 only, which all tools write.</summary>
/// <param name="Hex">64 digits in lower case.</param>
internal readonly record struct ContentDigest(string Hex)
{
    private const string Algorithm = "sha256:";
    private const int Digits = 64;

    /// <exception cref="ImageException">It is none, or made in another way.</exception>
    public static ContentDigest Parse(string? text) =>
        text is { Length: 71 } && text.StartsWith(Algorithm, StringComparison.Ordinal) && IsHex(text.AsSpan(Algorithm.Length))
            ? new ContentDigest(text[Algorithm.Length..])
            : throw new ImageException($"'{text}' is no digest such as sha256: and {Digits} digits");

    public override string ToString() => Algorithm + Hex;

    private static bool IsHex(ReadOnlySpan<char> digits) => !digits.ContainsAnyExcept("0123456789abcdef");
}
