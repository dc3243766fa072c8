using System.Text;

namespace Cnvm.Sandbox.Agent;

/// <summary>Text that a guest chose, on its way into messages and logs of the host: short, and without what steers a terminal.</summary>
internal static class GuestWords
{
    private const int MaxLength = 2000;
    private const int MaxNameLength = 40;

    /// <summary>The beginning of what should be a name or number, on one line.</summary>
    public static string Name(string text) => Clean(text[..Math.Min(text.Length, MaxNameLength)]).ReplaceLineEndings(" ");

    /// <summary>The beginning of a text; control characters but line ends are replaced.</summary>
    public static string Clean(string text)
    {
        var result = new StringBuilder(Math.Min(text.Length, MaxLength));
        foreach (char c in text.AsSpan(0, Math.Min(text.Length, MaxLength)))
        {
            result.Append(char.IsControl(c) && c != '\n' ? '\ufffd' : c);
        }

        return text.Length > MaxLength ? result.Append(" ...").ToString() : result.ToString();
    }
}
