using System.Globalization;

namespace Cnvm.Guest.Tests;

/// <summary>CNVM_SOAK=1 asks for the long forms of tests.</summary>
internal static class Soak
{
    public static bool IsOn => Environment.GetEnvironmentVariable("CNVM_SOAK") == "1";

    /// <summary>How long guests are kept busy: CNVM_SOAK_SECONDS, or an hour.</summary>
    public static TimeSpan Duration => TimeSpan.FromSeconds(Number("CNVM_SOAK_SECONDS", 3600));

    /// <summary>The guests that are kept busy side by side, by their vCPUs: CNVM_SOAK_VCPUS, or 1,2,4.</summary>
    public static int[] VirtualCpus =>
        [.. (Environment.GetEnvironmentVariable("CNVM_SOAK_VCPUS") ?? "1,2,4").Split(',').Select(text => int.Parse(text, CultureInfo.InvariantCulture))];

    /// <summary>How often a busy guest is saved and restored, two at a time: CNVM_SOAK_PULSES, or 500.</summary>
    public static int Pulses => Number("CNVM_SOAK_PULSES", 500);

    /// <summary>A file for the results beside the test's own output, CNVM_SOAK_REPORT, or null.</summary>
    public static string? ReportFile => Environment.GetEnvironmentVariable("CNVM_SOAK_REPORT");

    private static int Number(string name, int usual) =>
        Environment.GetEnvironmentVariable(name) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : usual;
}
