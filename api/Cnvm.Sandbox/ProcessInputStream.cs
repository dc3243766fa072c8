using Cnvm.Agent.Protocol;
using Cnvm.Sandbox.Agent;
using Cnvm.Ttrpc;

namespace Cnvm.Sandbox;

/// <summary>What a process reads. A write is done when the process's pipe or terminal has it; disposing ends the input. One writer.</summary>
internal sealed class ProcessInputStream(AgentConnection agent, string container, string process) : Stream
{
    private const int MostAtOnce = 64 << 10;
    private bool _closed;

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => !_closed;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(_closed, this);
        while (!buffer.IsEmpty)
        {
            ReadOnlyMemory<byte> part = buffer[..Math.Min(buffer.Length, MostAtOnce)];
            WriteStreamResponse answer = await agent.WaitAsync<WriteStreamRequest, WriteStreamResponse>(
                AgentService.WriteStdin, new WriteStreamRequest { ContainerId = container, ExecId = process, Data = part }, cancellationToken).ConfigureAwait(false);
            if (answer.Len == 0 || answer.Len > part.Length)
            {
                throw new SandboxException(SandboxErrorKind.Refused, $"the guest's agent: WriteStdin: {answer.Len} of {part.Length} bytes were taken");
            }

            buffer = buffer[(int)answer.Len..];
        }
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override void Write(byte[] buffer, int offset, int count) =>
        WriteAsync(buffer.AsMemory(offset, count)).AsTask().GetAwaiter().GetResult();

    public override void Flush()
    {
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override async ValueTask DisposeAsync()
    {
        await CloseAsync().ConfigureAwait(false);
        await base.DisposeAsync().ConfigureAwait(false);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            CloseAsync().GetAwaiter().GetResult();
        }

        base.Dispose(disposing);
    }

    private async Task CloseAsync()
    {
        if (_closed)
        {
            return;
        }

        _closed = true;
        try
        {
            await agent.CallAsync<CloseStdinRequest, Empty>(
                AgentService.CloseStdin, new CloseStdinRequest { ContainerId = container, ExecId = process }, CancellationToken.None).ConfigureAwait(false);
        }
        catch (SandboxException e) when (e.Kind is SandboxErrorKind.NotFound or SandboxErrorKind.Gone)
        {
            // The process has ended, and its input with it.
            return;
        }
    }
}
