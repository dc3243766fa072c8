using System.Globalization;
using Cnvm.Vmm.Config;
using Microsoft.Extensions.Logging;

namespace Cnvm.CommandLine;

/// <summary>What the command line asks for.</summary>
internal sealed record LaunchOptions
{
    // The software vCPU is young: who wants it asks for it.
    private const string DefaultHypervisor = "auto";

    // What a VMM does, and not what it is made of.
    private static readonly string[] MakesVmm = [Flags.ApiSocket, Flags.Name, Flags.EventMonitor, Flags.NoShutdown, Flags.Restore];

    public bool ShowHelp { get; private init; }

    public bool ShowVersion { get; private init; }

    /// <summary>Only print what the host and the hypervisor can run.</summary>
    public bool ShowHostCapabilities { get; private init; }

    /// <summary>Where to serve the API; null for nowhere.</summary>
    public PathOrFd? ApiSocket { get; private init; }

    /// <summary>Name among the running VMs; null for one made of the socket's.</summary>
    public string? Name { get; private init; }

    /// <summary>Where events go; null for nowhere.</summary>
    public PathOrFd? EventMonitor { get; private init; }

    /// <summary>Null is stderr.</summary>
    public string? LogFile { get; private init; }

    public string? LogFormat { get; private init; }

    public LogLevel LogLevel { get; private init; }

    public bool NoShutdown { get; private init; }

    /// <summary>Which hypervisor: kvm, soft, or auto.</summary>
    public string Hypervisor { get; private init; } = DefaultHypervisor;

    /// <summary>What becomes of a forbidden system call, once there are filters.</summary>
    public string Seccomp { get; private init; } = "true";

    /// <summary><c>--seccomp</c> was given.</summary>
    public bool SeccompGiven { get; private init; }

    /// <summary>The VM to create and boot at once, validated; null for none.</summary>
    public VmConfig? Vm { get; private init; }

    /// <summary>The snapshot to restore at once; null for none.</summary>
    public RestoreArguments? Restore { get; private init; }

    /// <exception cref="CommandLineException">The arguments are wrong.</exception>
    /// <exception cref="ConfigException">They describe a VM that cannot be.</exception>
    public static LaunchOptions Parse(IReadOnlyList<string> words)
    {
        var arguments = new Arguments(words);
        int verbosity = arguments.Count(Flags.Verbose);
        if (arguments.Has(Flags.Help) || arguments.Has(Flags.Version))
        {
            return new LaunchOptions { ShowHelp = arguments.Has(Flags.Help), ShowVersion = true, LogLevel = LevelOf(verbosity) };
        }

        bool onlyDescribesHost = arguments.Has(Flags.HostCapabilities);
        if (onlyDescribesHost && arguments.First(f => f.IsVmConfig || MakesVmm.Contains(f.Name)) is { } needless)
        {
            throw new CommandLineException($"{Flags.HostCapabilities} runs no VM: leave {needless} out");
        }

        var options = new LaunchOptions
        {
            ShowHostCapabilities = onlyDescribesHost,
            ApiSocket = ParsePathOrFd(Flags.ApiSocket, arguments.Value(Flags.ApiSocket), allowBarePath: true),
            Name = arguments.Value(Flags.Name),
            EventMonitor = ParsePathOrFd(Flags.EventMonitor, arguments.Value(Flags.EventMonitor), allowBarePath: false),
            LogFile = arguments.Value(Flags.LogFile),
            LogFormat = arguments.Value(Flags.LogFormat),
            LogLevel = LevelOf(verbosity),
            NoShutdown = arguments.Has(Flags.NoShutdown),
            Hypervisor = ParseHypervisor(arguments.Value(Flags.Hypervisor)),
            Seccomp = ParseSeccomp(arguments.Value(Flags.Seccomp)),
            SeccompGiven = arguments.Has(Flags.Seccomp),
            Vm = VmConfigArguments.Parse(arguments),
            Restore = RestoreArguments.Parse(arguments.Value(Flags.Restore)),
        };
        if (options.Vm is not null && options.Restore is not null)
        {
            throw new CommandLineException($"{Flags.Restore} brings the VM's configuration along: leave {arguments.FirstVmFlag} out");
        }

        if (!onlyDescribesHost && options.Vm is null && options.Restore is null && options.ApiSocket is null && options.Name is null)
        {
            throw new CommandLineException(
                $"nothing to do: give {Flags.Kernel} to boot a VM, {Flags.ApiSocket} to be told what to do, or both (see --help)");
        }

        if (options.Vm is not null)
        {
            VmConfigValidator.ThrowIfInvalid(options.Vm);
        }

        return options;
    }

    private static LogLevel LevelOf(int verbosity) => verbosity switch
    {
        0 => LogLevel.Warning,
        1 => LogLevel.Information,
        2 => LogLevel.Debug,
        _ => LogLevel.Trace,
    };

    private static string ParseHypervisor(string? text) => text switch
    {
        null => DefaultHypervisor,
        "auto" or "kvm" or "soft" => text,
        _ => throw new CommandLineException($"{Flags.Hypervisor}: '{text}' is not one of auto, kvm, soft"),
    };

    private static string ParseSeccomp(string? text) => text switch
    {
        null => "true",
        "true" or "false" or "log" or "errno" => text,
        _ => throw new CommandLineException($"{Flags.Seccomp}: '{text}' is not one of true, false, log, errno"),
    };

    private static PathOrFd? ParsePathOrFd(string flag, string? text, bool allowBarePath)
    {
        if (text is null)
        {
            return null;
        }

        if (text.StartsWith("path=", StringComparison.Ordinal) && text.Length > "path=".Length)
        {
            return new PathOrFd(text["path=".Length..], null);
        }

        if (text.StartsWith("fd=", StringComparison.Ordinal))
        {
            return int.TryParse(text.AsSpan("fd=".Length), NumberStyles.None, CultureInfo.InvariantCulture, out int fd)
                ? new PathOrFd(null, fd)
                : throw new CommandLineException($"{flag}: '{text}' has no descriptor number after fd=");
        }

        return allowBarePath && text.Length > 0 && !text.Contains('=', StringComparison.Ordinal)
            ? new PathOrFd(text, null)
            : throw new CommandLineException($"{flag}: '{text}' is neither path=PATH nor fd=NUMBER");
    }
}
