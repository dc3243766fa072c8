namespace Cnvm.Guest.Tests;

/// <summary>CNVM_SOAK=1 asks for the long forms of tests.</summary>
internal static class Soak
{
    public static bool IsOn => Environment.GetEnvironmentVariable("CNVM_SOAK") == "1";
}
