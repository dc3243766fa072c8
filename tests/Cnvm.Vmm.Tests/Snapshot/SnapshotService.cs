using System.Diagnostics;
using Cnvm.Api;
using Cnvm.Hypervisor;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Requests;
using Microsoft.Extensions.Logging.Abstractions;
using static Cnvm.Vmm.Tests.Snapshot.PayloadMachine;

namespace Cnvm.Vmm.Tests.Snapshot;

/// <summary>A VMM with the bare-metal payload on the software vCPU, and a folder for snapshots.</summary>
internal sealed class SnapshotService : IDisposable
{
    private readonly VmmThread _thread = new();

    public SnapshotService() => Vmm = new VmmService(
        new VmmOptions
        {
            OpenHypervisor = () => Host,
            Ping = new VmmPing("v1", "1", 1, []),
            Logging = NullLoggerFactory.Instance,
            ConfigCodec = new VmConfigCodec(),
            OnExit = _ => { },
        },
        _thread);

    public FaultyHypervisor Host { get; } = new(Open("soft"));

    public VmmService Vmm { get; }

    public string Path { get; } = Directory.CreateTempSubdirectory("cnvm-requests-").FullName;

    /// <summary>A folder below <see cref="Path"/>, made now unless it is there.</summary>
    public string Folder(string name) => Directory.CreateDirectory(System.IO.Path.Combine(Path, name)).FullName;

    public string File(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>On the VMM's thread, where requests are carried out.</summary>
    public void OnVmm(Action<VmmService> request) => _thread.Invoke(() => request(Vmm));

    /// <summary>Boots the payload, lets it write its pages once, and pauses it.</summary>
    public void StartPaused(Func<VmConfig, VmConfig>? change = null)
    {
        VmConfig config = Configure(Image(), "Host");
        Vmm.Create(change?.Invoke(config) ?? config);
        Vmm.Boot();
        WaitForRound(Vmm.Machine(), 1);
        Vmm.Pause();
    }

    /// <summary>The guest runs for a while and writes its pages.</summary>
    public void GoesOn()
    {
        ulong round = Round(Vmm.Machine());
        Vmm.Resume();
        WaitForRound(Vmm.Machine(), round + 1);
        Vmm.Pause();
    }

    /// <summary>Takes a snapshot to a folder of that name.</summary>
    public string Take(string name, bool trackChanges = false, bool incremental = false, bool disks = false)
    {
        string folder = Folder(name);
        Vmm.Snapshot(new VmSnapshotConfig($"file://{folder}", trackChanges, incremental, Disks: disks));
        return folder;
    }

    /// <summary>The message of a restore that is refused, with those behind it; no VM is there afterwards.</summary>
    public string Refused(RestoreConfig restore, params IReadOnlyList<Linux.FileDescriptor> descriptors)
    {
        string message = "";
        for (Exception? e = Assert.ThrowsAny<VmmException>(() => Vmm.Restore(restore, descriptors)); e is not null; e = e.InnerException)
        {
            message += e.Message + "\n";
        }

        Assert.Equal(VmmErrorKind.NotFound, Assert.Throws<VmmException>(() => Vmm.Info()).Kind);
        return message;
    }

    public void Dispose()
    {
        _thread.Dispose();
        Vmm.Dispose();
        Directory.Delete(Path, recursive: true);
    }

    /// <summary>Output of a program on this machine that must succeed.</summary>
    public static string Run(string program, params string[] arguments)
    {
        (int code, string output) = TryRun(program, arguments);
        Assert.True(code == 0, $"{program} {string.Join(' ', arguments)}: {output}");
        return output;
    }

    /// <summary>What a program on this machine ended with, and said.</summary>
    public static (int Code, string Output) TryRun(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + error.Result);
    }
}
