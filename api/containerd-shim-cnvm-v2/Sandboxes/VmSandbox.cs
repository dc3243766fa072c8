using Cnvm.Sandbox;
using Microsoft.Extensions.Logging;

namespace Cnvm.Shim.Sandboxes;

/// <summary>A sandbox that is a virtual machine.</summary>
internal sealed partial class VmSandbox : ISandbox
{
    private readonly SandboxVm _vm;

    /// <param name="vm">Owned from now on.</param>
    public VmSandbox(SandboxVm vm, ILogger logger)
    {
        _vm = vm;
        _ = LogEndAsync(vm, logger);
    }

    public int ProcessId => _vm.VmmProcessId;

    public Task Ended => _vm.Ended;

    public async Task<IContainer> CreateAsync(ContainerSettings settings, CancellationToken cancellation) => new VmContainer(await _vm.CreateContainerAsync(
        settings.Id, settings.Spec, new ContainerRootfs(settings.Rootfs, RootfsAccess.ReadWrite), cancellation));

    public Task<string> WaitForOutOfMemoryAsync(CancellationToken cancellation) => _vm.WaitForOutOfMemoryAsync(cancellation);

    public Task SaveAsync(string directory, CancellationToken cancellation) => _vm.SnapshotAsync(directory, cancellation);

    public ValueTask DisposeAsync() => _vm.DisposeAsync();

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
