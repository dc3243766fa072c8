namespace Cnvm.Cli;

/// <summary>What the program ends with. Scripts depend on these numbers: they do not change.</summary>
internal static class ExitCode
{
    public const int Success = 0;

    /// <summary>The VMM refused, or could not be reached or started, or a file could not be used, or a check says no.</summary>
    public const int Failure = 1;

    /// <summary>The command line is wrong; nothing was done.</summary>
    public const int Usage = 2;

    /// <summary>No running VM is meant, or more than one.</summary>
    public const int NoSuchVm = 3;

    /// <summary>What was waited for did not happen in time.</summary>
    public const int TimedOut = 4;
}
