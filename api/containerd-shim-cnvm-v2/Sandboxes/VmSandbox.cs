using Cnvm.Sandbox;
using Microsoft.Extensions.Logging;

namespace Cnvm.Shim.Sandboxes;

/// <summary>A sandbox that is a virtual machine.</summary>
internal sealed partial class VmSandbox : ISandbox
{
    /// <summary>File of a saved state that has the container's name.</summary>
    private const string NameFile = "container";

    private readonly SandboxVm _vm;
    private readonly string _entry;
    private Container? _restored;

    /// <param name="vm">Owned from now on.</param>
    /// <param name="restored">The container that it went on with; null if it booted.</param>
    /// <param name="entry">File that goes with the machine, if the VMM does not remove it itself.</param>
    public VmSandbox(SandboxVm vm, Container? restored, string entry, ILogger logger)
    {
        _vm = vm;
        _entry = entry;
        _restored = restored;
        _ = LogEndAsync(vm, logger);
    }

    public int ProcessId => _vm.VmmProcessId;

    public Task Ended => _vm.Ended;

    public async Task<IContainer> CreateAsync(ContainerSettings settings, CancellationToken cancellation) =>
        Interlocked.Exchange(ref _restored, null) is { } running
            ? new VmContainer(running, isRunning: true)
            : new VmContainer(await _vm.CreateContainerAsync(settings.Id, settings.Spec, RootOf(settings), cancellation), isRunning: false);

    public Task<string> WaitForOutOfMemoryAsync(CancellationToken cancellation) => _vm.WaitForOutOfMemoryAsync(cancellation);

    public async Task SaveAsync(string container, string directory, CancellationToken cancellation)
    {
        await _vm.SnapshotAsync(directory, cancellation);
        await File.WriteAllTextAsync(Path.Combine(directory, NameFile), container, cancellation);
    }

    /// <summary>Name of the container in a saved state.</summary>
    /// <exception cref="SandboxException">It is none.</exception>
    public static string SavedContainer(string directory)
    {
        string file = Path.Combine(directory, NameFile);
        return File.Exists(file)
            ? File.ReadAllText(file)
            : throw new SandboxException(SandboxErrorKind.Invalid, $"{directory} is no checkpoint of this runtime: a container that another runtime has saved cannot go on in a virtual machine");
    }

    /// <summary>What a container writes to its root is containerd's to keep.</summary>
    public static ContainerRootfs RootOf(ContainerSettings settings) => new(settings.Rootfs, RootfsAccess.ReadWrite);

    public async ValueTask DisposeAsync()
    {
        await _vm.DisposeAsync();
        File.Delete(_entry);
    }

    private static async Task LogEndAsync(SandboxVm vm, ILogger logger)
    {
        SandboxEnd end = await vm.Ended;
        if (!end.IsExpected)
        {
            LogEnd(logger, end.Reason);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "the virtual machine is gone: {Reason}")]
    private static partial void LogEnd(ILogger logger, string reason);
}
