using Microsoft.Extensions.Logging;

namespace Cnvm.CommandLine;

/// <summary>What the command lines of all back end programs ask for.</summary>
internal abstract class BackendOptions
{
    /// <param name="socket">Where front ends connect; null if something is only shown.</param>
    protected BackendOptions(BackendArguments arguments, PathOrFd? socket)
    {
        ShowHelp = arguments.Has(BackendArguments.Help);
        ShowVersion = arguments.Has(BackendArguments.Version);
        ShowCapabilities = arguments.OnlyShows;
        Socket = socket ?? new PathOrFd(null, null);
        LogFile = arguments.Value(BackendArguments.LogFile);
        LogLevel = arguments.LogLevel;
    }

    public bool ShowHelp { get; }

    public bool ShowVersion { get; }

    /// <summary>Something is shown and nothing served; the capabilities, unless it is the help or the version.</summary>
    public bool ShowCapabilities { get; }

    /// <summary>Where front ends connect: a path, or a listening socket.</summary>
    public PathOrFd Socket { get; }

    /// <summary>Null is stderr.</summary>
    public string? LogFile { get; }

    public LogLevel LogLevel { get; }
}
