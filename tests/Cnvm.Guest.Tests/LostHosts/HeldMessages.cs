using Xunit.Abstractions;
using Xunit.Sdk;

namespace Cnvm.Guest.Tests;

/// <summary>Keeps a test's messages until it is known whether they count.</summary>
internal sealed class HeldMessages : IMessageBus
{
    private readonly Lock _lock = new();
    private readonly List<IMessageSinkMessage> _messages = [];

    public bool QueueMessage(IMessageSinkMessage message)
    {
        lock (_lock)
        {
            _messages.Add(message);
        }

        return true;
    }

    /// <summary>What the failed tests among them say.</summary>
    public string Failures
    {
        get
        {
            lock (_lock)
            {
                return string.Join('\n', _messages.OfType<ITestFailed>().SelectMany(f => f.Messages));
            }
        }
    }

    public void PassOn(IMessageBus bus) => _messages.ForEach(message => bus.QueueMessage(message));

    public void Dispose()
    {
    }
}
