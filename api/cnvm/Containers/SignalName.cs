using System.Globalization;

namespace Cnvm.Cli.Containers;

/// <summary>Signals as images and people write them (signal(7), x86).</summary>
internal static class SignalName
{
    public const int Terminate = 15;
    public const int Kill = 9;
    private const int Most = 64;

    private static readonly string[] Names =
    [
        "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD",
        "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];

    /// <summary>The number of INT, SIGINT, 2 or SIGRTMIN+3; null if it is none.</summary>
    public static int? Parse(string text)
    {
        const string RealTime = "RTMIN+";
        const int FirstRealTime = 34;
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number))
        {
            return number is > 0 and <= Most ? number : null;
        }

        string name = text.ToUpperInvariant();
        name = name.StartsWith("SIG", StringComparison.Ordinal) ? name[3..] : name;
        if (name.StartsWith(RealTime, StringComparison.Ordinal)
            && int.TryParse(name[RealTime.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out int above))
        {
            return FirstRealTime + above <= Most ? FirstRealTime + above : null;
        }

        int index = name.Length == 0 ? -1 : Array.IndexOf(Names, name);
        return index > 0 ? index : null;
    }
}
