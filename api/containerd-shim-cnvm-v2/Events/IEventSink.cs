using Cnvm.Ttrpc;

namespace Cnvm.Shim.Events;

/// <summary>Takes events, in the order in which they happened.</summary>
internal interface IEventSink
{
    /// <summary>Takes an event and returns at once; never fails.</summary>
    /// <param name="topic">One of <see cref="EventTopic"/>.</param>
    /// <param name="message">Its type's name is that of the record, in the package containerd.events.</param>
    void Publish<TMessage>(string topic, TMessage message)
        where TMessage : IProtoMessage<TMessage>;
}
