using System.Globalization;
using Cnvm.Sandbox.Networks;

namespace Cnvm.Sandbox.Machine;

/// <summary>The flags of cnvm-vmm for a sandbox.</summary>
internal static class VmmCommandLine
{
    /// <summary>For a guest that boots.</summary>
    /// <param name="joined">What the guest has of a network namespace; null for nothing.</param>
    public static List<string> ToBoot(SandboxOptions options, string name, SandboxFolder folder, NamespaceNetwork? joined)
    {
        List<string> words =
        [
            .. Common(options, name, folder),
            "--kernel", Needed(options.Kernel, nameof(options.Kernel)),
            "--initramfs", Needed(options.Initramfs, nameof(options.Initramfs)),
            "--cmdline", $"console=ttyS0 quiet panic=-1 {options.KernelArguments}".TrimEnd(),
            "--cpus", string.Create(CultureInfo.InvariantCulture, $"boot={options.Cpus}"),
            "--memory", string.Create(CultureInfo.InvariantCulture, $"size={options.MemoryBytes}"),
            "--vsock", $"cid=3,socket={Quoted(folder.VsockSocket)}",
            "--serial", string.Create(CultureInfo.InvariantCulture, $"file={Quoted(folder.ConsoleLog)},file_size={SandboxFolder.LogLimit}"), "--console", "off", "--pvpanic",
            "--fs", $"tag={GuestPaths.SharedTag},path={Quoted(folder.Shared)}{(folder.SharedIsReadOnly ? ",readonly=on" : "")}",
        ];
        for (int i = 0; i < options.Folders.Count; i++)
        {
            words.Add($"tag={GuestPaths.TagOf(i)},path={Quoted(Path.GetFullPath(options.Folders[i].Path))}{(options.Folders[i].ReadOnly ? ",readonly=on" : "")}");
        }

        AddNetwork(words, options.Network);
        if (joined is { Interfaces.Count: > 0 })
        {
            words.AddRange(["--net", .. joined.Values()]);
        }

        words.AddRange(options.VmmArguments);
        return words;
    }

    /// <summary>For one that goes on from a template, whose configuration names the sandbox's own files already.</summary>
    public static List<string> ToRestore(SandboxOptions options, string name, SandboxFolder folder) =>
    [
        .. Common(options, name, folder),
        "--restore", $"source_url={Quoted($"file://{folder.Template}")},memory_restore_mode=ondemand,resume=on",
        .. options.VmmArguments,
    ];

    /// <exception cref="SandboxException">The text cannot stand in a value of several keys.</exception>
    public static string Quoted(string text) => text.Contains('"', StringComparison.Ordinal)
        ? throw new SandboxException(SandboxErrorKind.Invalid, $"the path {text} has a double quote, which cnvm-vmm does not take")
        : text.AsSpan().ContainsAny(",[]") ? $"\"{text}\"" : text;

    private static List<string> Common(SandboxOptions options, string name, SandboxFolder folder) =>
        ["--api-socket", folder.ApiSocket, "--name", name, "--hypervisor", options.Hypervisor];

    private static void AddNetwork(List<string> words, SandboxNetwork network)
    {
        switch (network)
        {
            case SandboxNetwork.Passt passt:
                words.AddRange(["--net", PasstNetwork.Value(passt)]);
                break;
            case SandboxNetwork.Tap tap:
                words.AddRange(["--net", $"tap={Quoted(tap.Name)}{(tap.Mac is null ? "" : $",mac={tap.Mac}")}"]);
                break;
            case SandboxNetwork.TapDescriptors taps:
                string queues = taps.Fds.Count > 1 ? string.Create(CultureInfo.InvariantCulture, $",num_queues={taps.Fds.Count * 2}") : "";
                words.AddRange(["--net", $"fd=[{string.Join(',', taps.Fds)}]{queues}{(taps.Mac is null ? "" : $",mac={taps.Mac}")}"]);
                break;
        }
    }

    private static string Needed(string? path, string option) => path is null
        ? throw new SandboxException(SandboxErrorKind.Invalid, $"{option} is needed to boot a sandbox (or a template to go on from)")
        : File.Exists(path)
            ? Path.GetFullPath(path)
            : throw new SandboxException(SandboxErrorKind.Host, $"{option}: there is no file {path} (make images makes those of cnvm)");
}
