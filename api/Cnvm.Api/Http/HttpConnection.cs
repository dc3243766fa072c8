using Cnvm.Linux;

namespace Cnvm.Api.Http;

/// <summary>
/// One client: its bytes and descriptors become requests, one at a time, and answers become bytes. Never blocks. Belongs to the server's
/// thread.
/// </summary>
internal sealed class HttpConnection : IDisposable
{
    private const int InitialBuffer = 4096;
    private readonly UnixStream _stream;
    private readonly List<FileDescriptor> _descriptors = [];
    private byte[] _input = new byte[InitialBuffer];
    private int _inputStart;
    private int _inputEnd;
    private byte[] _output = [];
    private int _outputStart;
    private HttpHead? _head;
    private bool _closeAfterOutput;
    private bool _endsServer;

    public HttpConnection(UnixStream stream) => _stream = stream;

    public int Fd => _stream.Fd;

    /// <summary>A request was taken and its answer has not been given yet.</summary>
    public bool IsHandling { get; private set; }

    /// <summary>Nothing more is possible: dispose it.</summary>
    public bool IsFinished { get; private set; }


    private bool HasOutput => _outputStart < _output.Length;

    /// <summary>What to poll for; 0 while a request is being handled: nothing is read ahead of an answer.</summary>
    public short Interest => HasOutput ? PollEntry.Out : IsHandling || IsFinished ? (short)0 : PollEntry.In;

    /// <summary>Moves bytes as far as possible; returns the next request once one is complete, else null.</summary>
    /// <exception cref="HttpFormatException">The client does not speak HTTP as this server does; answer with <see cref="Refuse"/>.</exception>
    public HttpRequest? Advance()
    {
        while (!IsHandling && !IsFinished)
        {
            if (!Flush())
            {
                return null;
            }

            if (TakeRequest() is { } request)
            {
                IsHandling = true;
                return request;
            }

            if (!HasOutput && !Fill())
            {
                return null;
            }
        }

        return null;
    }

    /// <summary>Gives the answer to the request under way.</summary>
    public void Respond(HttpResponse response)
    {
        IsHandling = false;
        _endsServer |= response.EndsServer;
        Queue(response.Encode());
    }

    /// <summary>Answers input that is no request; the connection closes once the answer has gone.</summary>
    public void Refuse(HttpResponse response)
    {
        Queue(response.Encode());
        _closeAfterOutput = true;
        Flush();
    }

    /// <summary>The socket failed: there is nobody to answer.</summary>
    public void Fail() => IsFinished = true;

    /// <summary>The client went while its request waited: nobody wants the answer.</summary>
    public void Abandon()
    {
        IsHandling = false;
        IsFinished = true;
    }

    /// <summary>True once: when the answer that ends the server has gone out, or its client is gone.</summary>
    public bool TakeServerEnded()
    {
        bool ended = _endsServer && (IsFinished || !HasOutput);
        _endsServer &= !ended;
        return ended;
    }

    public void Dispose()
    {
        foreach (FileDescriptor descriptor in _descriptors)
        {
            descriptor.Dispose();
        }

        _stream.Dispose();
    }

    private void Queue(byte[] bytes)
    {
        _output = HasOutput ? [.. _output.AsSpan(_outputStart), .. bytes] : bytes;
        _outputStart = 0;
    }

    /// <summary>Sends what is queued; false if the peer has to be waited for or is gone.</summary>
    private bool Flush()
    {
        while (HasOutput)
        {
            int sent = _stream.Send(_output.AsSpan(_outputStart));
            if (sent == UnixStream.WouldBlock)
            {
                return false;
            }

            if (sent == 0)
            {
                IsFinished = true;
                return false;
            }

            _outputStart += sent;
        }

        _output = [];
        _outputStart = 0;
        if (_closeAfterOutput)
        {
            IsFinished = true;
        }

        return !IsFinished;
    }

    /// <summary>Receives once; false if there is nothing to go on with.</summary>
    private bool Fill()
    {
        MakeRoom();
        int count = _stream.Receive(_input.AsSpan(_inputEnd), _descriptors);
        DropExcessDescriptors();
        if (count == UnixStream.WouldBlock)
        {
            return false;
        }

        if (count == 0)
        {
            // What came before is all there is: a request that is not complete by now never will be.
            IsFinished = true;
            return false;
        }

        _inputEnd += count;
        return true;
    }

    private void DropExcessDescriptors()
    {
        for (int i = _descriptors.Count - 1; i >= HttpLimits.Descriptors; i--)
        {
            _descriptors[i].Dispose();
            _descriptors.RemoveAt(i);
        }
    }

    // Input is bounded: a head by its limits, and a body by its announced length, which was checked. Memory follows what has come,
    // not what was announced.
    private void MakeRoom()
    {
        int used = _inputEnd - _inputStart;
        int wanted = _head is null ? used + InitialBuffer : Math.Min(_head.ContentLength, (used * 2) + InitialBuffer);
        if (wanted > _input.Length - _inputStart || _inputEnd == _input.Length)
        {
            byte[] target = wanted > _input.Length ? new byte[wanted] : _input;
            _input.AsSpan(_inputStart, used).CopyTo(target);
            _input = target;
            _inputStart = 0;
            _inputEnd = used;
        }
    }

    private HttpRequest? TakeRequest()
    {
        ReadOnlySpan<byte> pending = _input.AsSpan(_inputStart, _inputEnd - _inputStart);
        if (_head is null)
        {
            if (pending.IsEmpty)
            {
                return null;
            }

            _head = HttpHead.TryParse(pending);
            if (_head is null)
            {
                return null;
            }

            _inputStart += _head.Length;
            pending = pending[_head.Length..];
            if (_head.ExpectsContinue && pending.Length < _head.ContentLength)
            {
                Queue(HttpResponse.Continue);
                Flush();
            }
        }

        if (pending.Length < _head.ContentLength)
        {
            return null;
        }

        var request = new HttpRequest
        {
            Method = _head.Method,
            Path = _head.Path,
            Body = pending[.._head.ContentLength].ToArray(),
            Descriptors = [.. _descriptors],
        };
        _inputStart += _head.ContentLength;
        _head = null;
        _descriptors.Clear();
        ReleaseInput();
        return request;
    }

    /// <summary>Keeps what follows the request and gives back the memory of a large body.</summary>
    private void ReleaseInput()
    {
        int rest = _inputEnd - _inputStart;
        if (_input.Length > InitialBuffer && rest <= InitialBuffer)
        {
            byte[] small = new byte[InitialBuffer];
            _input.AsSpan(_inputStart, rest).CopyTo(small);
            _input = small;
            _inputStart = 0;
            _inputEnd = rest;
        }
        else if (rest == 0)
        {
            _inputStart = 0;
            _inputEnd = 0;
        }
    }
}
