using System.Globalization;
using Cnvm.Linux;

namespace Cnvm.Virtio.Block;

/// <summary>A few threads that do blocking I/O for one image, where the kernel gives no io_uring.</summary>
internal sealed class IoThreads : IDisposable
{
    private const int Count = 4;
    private const int StackBytes = 128 * 1024;
    private readonly Thread[] _threads = new Thread[Count];
    private readonly object _gate = new();
    private ThreadedRequest? _first;
    private ThreadedRequest? _last;
    private bool _stopping;

    public IoThreads(string name)
    {
        for (int i = 0; i < Count; i++)
        {
            _threads[i] = new Thread(Run, StackBytes)
            {
                Name = string.Create(CultureInfo.InvariantCulture, $"{name}_io{i}"),
                IsBackground = true,
            };
            _threads[i].Start();
        }
    }

    /// <summary>Hands over a chain of requests, linked by <see cref="ThreadedRequest.Next"/>.</summary>
    public void Enqueue(ThreadedRequest first, ThreadedRequest last)
    {
        lock (_gate)
        {
            if (_last is null)
            {
                _first = first;
            }
            else
            {
                _last.Next = first;
            }

            _last = last;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Ends the threads. Nothing is in flight.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _stopping = true;
            Monitor.PulseAll(_gate);
        }

        foreach (Thread thread in _threads)
        {
            thread.Join();
        }
    }

    private void Run()
    {
        NativeThread.ShowName();
        while (true)
        {
            ThreadedRequest request;
            lock (_gate)
            {
                while (_first is null)
                {
                    if (_stopping)
                    {
                        return;
                    }

                    Monitor.Wait(_gate);
                }

                request = _first;
                _first = request.Next;
                if (_first is null)
                {
                    _last = null;
                }

                request.Next = null;
            }

            request.Owner.Perform(request);
        }
    }
}
