using Cnvm.Agent.Protocol;
using Cnvm.Sandbox.Agent;

namespace Cnvm.Sandbox;

/// <summary>What a process says, as it comes; ends when nobody in the container has that end open any more. One reader.</summary>
internal sealed class ProcessOutputStream(AgentConnection agent, string method, string container, string process) : ReadingStream
{
    private const int MostAtOnce = 64 << 10;
    private bool _ended;
    private ReadOnlyMemory<byte> _rest;
    private Task<ReadOnlyMemory<byte>>? _asking;

    public override int Read(Span<byte> buffer)
    {
        byte[] copy = new byte[Math.Min(buffer.Length, MostAtOnce)];
        int count = ReadAsync(copy.AsMemory()).AsTask().GetAwaiter().GetResult();
        copy.AsSpan(0, count).CopyTo(buffer);
        return count;
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_ended || buffer.IsEmpty)
        {
            return 0;
        }

        if (_rest.IsEmpty)
        {
            // Who gives a read up does not give up what it brings: the next one gets that.
            _asking ??= AskAsync();
            _rest = await _asking.WaitAsync(cancellationToken).ConfigureAwait(false);
            _asking = null;
            _ended = _rest.IsEmpty;
        }

        int count = Math.Min(buffer.Length, _rest.Length);
        _rest[..count].CopyTo(buffer);
        _rest = _rest[count..];
        return count;
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    private async Task<ReadOnlyMemory<byte>> AskAsync()
    {
        try
        {
            ReadStreamResponse answer = await agent.WaitAsync<ReadStreamRequest, ReadStreamResponse>(
                method, new ReadStreamRequest { ContainerId = container, ExecId = process, Len = MostAtOnce }, CancellationToken.None).ConfigureAwait(false);
            return answer.Data.Length <= MostAtOnce
                ? answer.Data
                : throw new SandboxException(SandboxErrorKind.Refused, $"the guest's agent: {method}: {answer.Data.Length} bytes, which is more than the {MostAtOnce} that were asked for");
        }
        catch (SandboxException e) when (IsEnd(e))
        {
            return default;
        }
    }

    // Kata's agent answers a read at the end with an error that says so, and forgets a process whose end somebody has waited for.
    private static bool IsEnd(SandboxException e) =>
        e.Kind == SandboxErrorKind.NotFound || (e.Kind == SandboxErrorKind.Refused && e.Message.Contains("eof", StringComparison.OrdinalIgnoreCase));
}
