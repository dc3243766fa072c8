namespace Cnvm.Ttrpc;

/// <summary>A message of protocol buffers, version 3, whichever it is.</summary>
public interface IProtoMessage
{
    /// <summary>Appends the fields of this message, without tag or length of the message itself. Fields that have their default value are left out.</summary>
    void Write(ProtoWriter writer);
}
