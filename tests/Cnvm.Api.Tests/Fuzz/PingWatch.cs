using System.Diagnostics;

namespace Cnvm.Api.Tests.Fuzz;

/// <summary>Asks for <c>vmm.ping</c> all the time, on a connection of its own, while a test does its worst.</summary>
internal sealed class PingWatch : IDisposable
{
    /// <summary>The contract's limit, in milliseconds.</summary>
    private const double Limit = 100;

    /// <summary>
    /// So many slow answers in a row are the server's fault; fewer are a busy host's, which may leave this process waiting for a processor.
    /// </summary>
    private const int InARow = 5;

    private readonly RawClient _client;
    private readonly Thread _thread;
    private volatile bool _ending;
    private string? _failure;

    public PingWatch(string socketPath)
    {
        _client = new RawClient(socketPath);
        _thread = new Thread(Watch) { IsBackground = true };
        _thread.Start();
    }

    /// <summary>Answers so far.</summary>
    public int Count { get; private set; }

    public double SlowestMilliseconds { get; private set; }

    /// <summary>Asserts that every ping was answered in time.</summary>
    public void Expect()
    {
        _ending = true;
        _thread.Join();
        Assert.True(_failure is null, _failure);
    }

    public void Dispose()
    {
        _ending = true;
        _thread.Join();
        _client.Dispose();
    }

    private void Watch()
    {
        int slow = 0;
        try
        {
            while (!_ending && slow < InARow)
            {
                long started = Stopwatch.GetTimestamp();
                int status = _client.Request("GET", "vmm.ping").Status;
                double took = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
                Count++;
                SlowestMilliseconds = Math.Max(SlowestMilliseconds, took);
                slow = took > Limit ? slow + 1 : 0;
                _failure = status != 200 ? $"ping: {status}" : slow == InARow ? $"{InARow} pings in a row took more than {Limit} ms, the last {took:F0} ms" : null;
                Thread.Sleep(1);
            }
        }
#pragma warning disable CA1031 // Whatever ends the watch is told by Expect.
        catch (Exception e)
#pragma warning restore CA1031
        {
            _failure = $"ping: {e.Message}";
        }
    }
}
