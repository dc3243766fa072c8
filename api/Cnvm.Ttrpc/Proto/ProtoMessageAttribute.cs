namespace Cnvm.Ttrpc;

/// <summary>Has the generator make a partial record of a namespace an <see cref="IProtoMessage{TSelf}"/>, from its properties with <see cref="ProtoMemberAttribute"/>.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class ProtoMessageAttribute : Attribute;
