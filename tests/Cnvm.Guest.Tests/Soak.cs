using System.Globalization;

namespace Cnvm.Guest.Tests;

/// <summary>CNVM_SOAK=1 asks for the long forms of tests.</summary>
internal static class Soak
{
    public static bool IsOn => Environment.GetEnvironmentVariable("CNVM_SOAK") == "1";

    /// <summary>How long guests are kept busy: CNVM_SOAK_SECONDS, or an hour.</summary>
    public static TimeSpan Duration => TimeSpan.FromSeconds(
        Environment.GetEnvironmentVariable("CNVM_SOAK_SECONDS") is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : 3600);

    /// <summary>A file for the results beside the test's own output, CNVM_SOAK_REPORT, or null.</summary>
    public static string? ReportFile => Environment.GetEnvironmentVariable("CNVM_SOAK_REPORT");
}
