using System.Globalization;
using Cnvm.Vmm.Config;

namespace Cnvm.CommandLine;

/// <summary>What the command line of <c>cnvm-vhost-user-fs</c> asks for: flags as virtiofsd has them, and maps of users and groups as in <c>--fs</c>.</summary>
internal sealed class FsBackendOptions : BackendOptions
{
    public const string Program = "cnvm-vhost-user-fs";

    private const string SharedDir = "--shared-dir";
    private const string Cache = "--cache";
    private const string ReadOnly = "--readonly";
    private const string NumQueues = "--num-queues";
    private const string UidMap = "--uid-map";
    private const string GidMap = "--gid-map";

    /// <summary>Names the folder in log lines, threads and messages. Its tag is the front end's to say.</summary>
    private const string Folder = "folder";

    /// <summary>A ring's number is a byte in the protocol's messages, and one of the rings is not for requests.</summary>
    private const int MaxRequestQueues = 255;

    private FsBackendOptions(BackendArguments arguments, FsConfig fs, PathOrFd? socket)
        : base(arguments, socket) => Fs = fs;

    /// <summary>The folder, and how it is served; has a path unless something is only shown.</summary>
    public FsConfig Fs { get; }

    /// <exception cref="CommandLineException">The arguments are wrong.</exception>
    /// <exception cref="ConfigException">They describe a folder that cannot be.</exception>
    public static FsBackendOptions Parse(IReadOnlyList<string> words)
    {
        var arguments = new BackendArguments(words, [SharedDir, Cache, NumQueues, UidMap, GidMap], [ReadOnly]);
        if (arguments.OnlyShows)
        {
            return new FsBackendOptions(arguments, new FsConfig(), null);
        }

        PathOrFd socket = arguments.ParseSocket(null, "", BackendArguments.SocketPath + " PATH");
        var fs = new FsConfig(
            Tag: Folder,
            Id: Folder,
            Path: arguments.Value(SharedDir) ?? throw new CommandLineException($"which folder? give {SharedDir} PATH (see --help)"),
            Readonly: arguments.Has(ReadOnly),
            Cache: ParseCache(arguments.Value(Cache)),
            NumQueues: ParseQueues(arguments.Value(NumQueues)),
            UidMap: ParseMap(UidMap, arguments.Value(UidMap)),
            GidMap: ParseMap(GidMap, arguments.Value(GidMap)));
        IReadOnlyList<ConfigProblem> problems = VmConfigValidator.ValidateFs(Folder, fs);
        return problems.Count > 0 ? throw new ConfigException(problems) : new FsBackendOptions(arguments, fs, socket);
    }

    private static FsCache ParseCache(string? text) => text switch
    {
        null or "auto" => FsCache.Auto,
        "always" => FsCache.Always,
        "none" or "never" => FsCache.None,
        _ => throw new CommandLineException($"{Cache}: '{text}' is not one of auto, always, none (or never)"),
    };

    private static ushort ParseQueues(string? text) =>
        text is null ? (ushort)1
        : ushort.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ushort number) && number is >= 1 and <= MaxRequestQueues ? number
        : throw new CommandLineException($"{NumQueues}: '{text}' is no whole number from 1 to {MaxRequestQueues}");

    private static List<IdRangeConfig>? ParseMap(string flag, string? text) =>
        text is null ? null : VmConfigArguments.ToIdRanges(new OptionString(flag, $"ranges={text}", "ranges"), "ranges");
}
