using System.Globalization;

namespace Cnvm.Cli.Output;

/// <summary>Sizes and durations as people read and write them.</summary>
internal static class Units
{
    private const double Step = 1024;

    /// <summary>For example <c>512 MiB</c> or <c>1.5 GiB</c>.</summary>
    public static string Size(ulong bytes)
    {
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        double value = bytes;
        int unit = 0;
        while (value >= Step && unit < units.Length - 1)
        {
            value /= Step;
            unit++;
        }

        return string.Create(CultureInfo.InvariantCulture, $"{value:0.#} {units[unit]}");
    }

    /// <summary>The two largest parts, for example <c>3h 12m</c> or <c>42s</c>.</summary>
    public static string Duration(TimeSpan time)
    {
        time = time < TimeSpan.Zero ? TimeSpan.Zero : time;
        FormattableString text = time switch
        {
            { TotalDays: >= 1 } => $"{(int)time.TotalDays}d {time.Hours}h",
            { TotalHours: >= 1 } => $"{time.Hours}h {time.Minutes}m",
            { TotalMinutes: >= 1 } => $"{time.Minutes}m {time.Seconds}s",
            { TotalSeconds: >= 1 } => $"{time.Seconds}s",
            _ => $"{time.Milliseconds}ms",
        };
        return text.ToString(CultureInfo.InvariantCulture);
    }

    /// <summary>A number with ms, s, m or h; without a unit, seconds. Null if it is none.</summary>
    public static TimeSpan? ParseDuration(string text)
    {
        (string Suffix, double Seconds)[] units = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("", 1)];
        foreach ((string suffix, double seconds) in units)
        {
            if (text.EndsWith(suffix, StringComparison.Ordinal))
            {
                const NumberStyles Decimal = NumberStyles.AllowDecimalPoint;
                bool parsed = double.TryParse(text.AsSpan(0, text.Length - suffix.Length), Decimal, CultureInfo.InvariantCulture, out double n);
                const double Most = 365.0 * 24 * 3600;
                return parsed && n * seconds <= Most ? TimeSpan.FromSeconds(n * seconds) : null;
            }
        }

        return null;
    }
}
