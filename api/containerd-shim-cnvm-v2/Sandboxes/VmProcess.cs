using Cnvm.Sandbox;

namespace Cnvm.Shim.Sandboxes;

/// <summary>A process in a virtual machine.</summary>
internal sealed class VmProcess(SandboxProcess process) : IContainerProcess
{
    public Task<int> WaitAsync(CancellationToken cancellation) => process.WaitAsync(cancellation);

    public Task SignalAsync(int signal, CancellationToken cancellation) => process.SignalAsync(signal, cancellation);

    public ValueTask<int> ReadOutputAsync(Memory<byte> buffer, CancellationToken cancellation) => process.StandardOutput.ReadAsync(buffer, cancellation);

    public ValueTask<int> ReadErrorAsync(Memory<byte> buffer, CancellationToken cancellation) => process.StandardError.ReadAsync(buffer, cancellation);

    public ValueTask WriteInputAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellation) => process.StandardInput.WriteAsync(bytes, cancellation);

    public async Task CloseInputAsync(CancellationToken cancellation) => await process.StandardInput.DisposeAsync();

    public Task ResizeAsync(uint width, uint height, CancellationToken cancellation) => process.ResizeAsync((int)width, (int)height, cancellation);
}
