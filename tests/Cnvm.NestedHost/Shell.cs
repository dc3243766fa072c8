namespace Cnvm.Nested;

/// <summary>Quoting for a POSIX shell.</summary>
public static class Shell
{
    /// <summary>The text as one word that a shell takes literally.</summary>
    public static string Quote(string text) => "'" + text.Replace("'", "'\\''", StringComparison.Ordinal) + "'";
}
